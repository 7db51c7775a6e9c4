"""Metadata that belongs to a moment of the media."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: ID3v2 tags in event messages (AOM, "Carriage of ID3 Timed Metadata in CMAF").
ID3_SCHEME: Final = "https://aomedia.org/emsg/ID3"
#: splice_info_section as it is (SCTE 214-3).
SCTE35_SCHEME: Final = "urn:scte:scte35:2013:bin"
#: So that a payload fits into one PES packet.
MAX_PAYLOAD_BYTES: Final = 32 * 1024


@dataclass(frozen=True, slots=True)
class TimedMetadata:
    """One item of timed metadata, on the clock of ``Sample.pts``."""

    time_90k: int
    #: None: not known, or of no length.
    duration_90k: int | None
    #: What the payload is: ``ID3_SCHEME`` or ``SCTE35_SCHEME``.
    scheme_id_uri: str
    #: Sub-scheme (``emsg`` value); mostly empty.
    value: str
    #: Unique within a publish.
    event_id: int
    #: At most ``MAX_PAYLOAD_BYTES``.
    payload: bytes
