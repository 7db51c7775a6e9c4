"""What happens on a stream besides media: from the encoder (``data_event``) or the API."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from hlsorigin.codecs import id3
from hlsorigin.codecs.scte35 import SpliceInfo, decode_text
from hlsorigin.errors import CodecError
from hlsorigin.hls.date_range import AttributeValue, DateRange
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.timed_metadata import (
    ID3_SCHEME,
    MAX_PAYLOAD_BYTES,
    SCTE35_SCHEME,
    TimedMetadata,
)


class EventKind(enum.Enum):
    """Where an event is to be seen."""

    #: In the media: an ID3 tag.
    ID3 = "id3"
    #: In the media and as EXT-X-DATERANGE: a splice.
    SCTE35 = "scte35"
    #: EXT-X-DATERANGE only.
    DATE_RANGE = "date_range"


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event; made by the functions below."""

    kind: EventKind
    #: The tag to be carried in the media.
    id3: bytes | None = None
    #: splice_info_section.
    scte35: bytes | None = None
    #: ID of a date range; None: to be given one.
    id: str | None = None
    #: CLASS, DURATION, PLANNED-DURATION and END-ON-NEXT of a date range, its own attributes.
    class_: str | None = None
    duration_s: float | None = None
    planned_duration_s: float | None = None
    end_on_next: bool = False
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    #: When it happens, 90 kHz ticks since 1970; None: with the media that arrives now.
    date_90k: int | None = None
    #: So much later than that: the pre-roll of a splice.
    offset_90k: int = 0

    def timed_metadata(self, time_90k: int, event_id: int) -> tuple[TimedMetadata, ...]:
        """Give what goes into the media.

        A splice goes twice: as it is, for fMP4, and inside an ID3 tag, for MPEG-TS.

        Args:
            time_90k: when, on the timeline of the samples.
            event_id: number of the event within the publish.
        """
        duration = _ticks(self.duration_s)
        payloads = ((ID3_SCHEME, self.id3), (SCTE35_SCHEME, self.scte35))
        return tuple(
            TimedMetadata(time_90k, duration, scheme, "", event_id, payload)
            for scheme, payload in payloads
            if payload is not None
        )

    def date_range(self, range_id: str, start_date_90k: int) -> DateRange:
        """Give the tag of a ``DATE_RANGE``.

        Raises:
            ValueError: no playlist may hold such a tag.
        """
        return DateRange(
            range_id,
            start_date_90k,
            class_=self.class_,
            duration_90k=_ticks(self.duration_s),
            planned_duration_90k=_ticks(self.planned_duration_s),
            attributes=self.attributes,
            end_on_next=self.end_on_next,
        )


def text_event(text: str, description: str = "", *, date_90k: int | None = None) -> StreamEvent:
    """Give a text as ID3 TXXX.

    Raises:
        CodecError: too long.
    """
    return tag_event(id3.tag(id3.text_frame(description, text)), date_90k=date_90k)


def private_event(owner: str, data: bytes, *, date_90k: int | None = None) -> StreamEvent:
    """Give bytes as ID3 PRIV.

    Raises:
        CodecError: too long, or not an owner.
    """
    return tag_event(id3.tag(id3.private_frame(owner, data)), date_90k=date_90k)


def tag_event(tag: bytes, *, date_90k: int | None = None) -> StreamEvent:
    """Give an ID3 tag as it is.

    Raises:
        CodecError: too long, or not an ID3 tag.
    """
    if len(tag) > MAX_PAYLOAD_BYTES:
        raise CodecError(f"ID3 tag of {len(tag)} bytes: {MAX_PAYLOAD_BYTES} are allowed")
    id3.check_tag(tag)
    return StreamEvent(EventKind.ID3, id3=tag, date_90k=date_90k)


def splice_event(
    section: bytes | str, *, date_90k: int | None = None, offset_90k: int = 0
) -> StreamEvent:
    """Give a splice.

    Args:
        section: splice_info_section; as text Base64 or hexadecimal.

    Raises:
        CodecError: it can't be read.
    """
    octets = decode_text(section) if isinstance(section, str) else section
    SpliceInfo.parse(octets)
    return StreamEvent(
        EventKind.SCTE35,
        id3=id3.tag(id3.private_frame(SCTE35_SCHEME, octets)),
        scte35=octets,
        date_90k=date_90k,
        offset_90k=offset_90k,
    )


def _ticks(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * TIMESCALE)
