"""Multivariant playlists as data with ``render()`` (8216bis 4.4.6). Every line ends in LF."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

#: Unicode categories: controls, lone surrogates, line and paragraph separators.
_NOT_QUOTABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Variant:
    """An EXT-X-STREAM-INF tag and its URI."""

    uri: str
    bandwidth_bps: int  # BANDWIDTH
    average_bandwidth_bps: int  # AVERAGE-BANDWIDTH
    codecs: Sequence[str]  # CODECS; empty: not known, the attribute is left out
    resolution: tuple[int, int] | None  # RESOLUTION
    frame_rate: Fraction | None  # FRAME-RATE
    audio_group: str | None = None  # AUDIO: the GROUP-ID of its audio renditions
    video_range: str | None = None  # VIDEO-RANGE: SDR, HLG or PQ; None: left out
    supplemental_codecs: Sequence[str] = ()  # SUPPLEMENTAL-CODECS

    def render(self, folder: str = "") -> str:
        """Give the tag and the URI line, without the last LF.

        Args:
            folder: what stands in front of the URI, with its slash.
        """
        attributes = [
            f"BANDWIDTH={self.bandwidth_bps}",
            f"AVERAGE-BANDWIDTH={self.average_bandwidth_bps}",
        ]
        if self.codecs:
            attributes.append(f'CODECS="{",".join(self.codecs)}"')
        if self.supplemental_codecs:
            attributes.append(f'SUPPLEMENTAL-CODECS="{",".join(self.supplemental_codecs)}"')
        if self.resolution is not None:
            attributes.append(f"RESOLUTION={self.resolution[0]}x{self.resolution[1]}")
        if self.frame_rate is not None:
            attributes.append(f"FRAME-RATE={float(self.frame_rate):.3f}")
        if self.video_range is not None:
            attributes.append(f"VIDEO-RANGE={self.video_range}")
        if self.audio_group is not None:
            attributes.append(f'AUDIO="{_quotable(self.audio_group)}"')
        return f"#EXT-X-STREAM-INF:{','.join(attributes)}\n{folder}{self.uri}"


@dataclass(frozen=True, slots=True)
class AlternativeRendition:
    """An EXT-X-MEDIA tag of TYPE=AUDIO (8216bis 4.4.6.1)."""

    group_id: str  # GROUP-ID
    name: str  # NAME: unique in its group
    language: str | None = None  # LANGUAGE: RFC 5646
    default: bool = False  # DEFAULT: one of a group at most
    autoselect: bool = True  # AUTOSELECT; YES in any case when DEFAULT is
    channels: str | None = None  # CHANNELS, for example "2" or "16/JOC"
    uri: str | None = None  # None: the audio is in the variants' own segments

    def render(self, folder: str = "") -> str:
        """Give the tag.

        Args:
            folder: what stands in front of the URI, with its slash.
        """
        attributes = [
            "TYPE=AUDIO",
            f'GROUP-ID="{_quotable(self.group_id)}"',
            f'NAME="{_quotable(self.name)}"',
        ]
        if self.language:
            attributes.append(f'LANGUAGE="{_quotable(self.language)}"')
        attributes += [
            f"DEFAULT={'YES' if self.default else 'NO'}",
            f"AUTOSELECT={'YES' if self.autoselect or self.default else 'NO'}",
        ]
        if self.channels:
            attributes.append(f'CHANNELS="{self.channels}"')
        if self.uri is not None:
            attributes.append(f'URI="{folder}{self.uri}"')
        return f"#EXT-X-MEDIA:{','.join(attributes)}"


@dataclass(frozen=True, slots=True)
class MultivariantPlaylist:
    """The entry of a stream."""

    variants: Sequence[Variant]
    renditions: Sequence[AlternativeRendition] = ()
    independent_segments: bool = False  # EXT-X-INDEPENDENT-SEGMENTS: in every playlist (AAS 9.11)

    def render(self, folder: str = "") -> str:
        """Give the playlist's text.

        Args:
            folder: what stands in front of every URI, with its slash; for an entry that is not
                in the folder of its media playlists.
        """
        lines = ["#EXTM3U", "#EXT-X-VERSION:3"]
        if self.independent_segments:
            lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
        lines += [each.render(folder) for each in self.renditions]
        lines += [each.render(folder) for each in self.variants]
        lines.append("")
        return "\n".join(lines)


def _quotable(text: str) -> str:
    """Make an encoder's text a quoted-string (8216bis 4.2): no quotation mark, no line break.

    Nor what looks like a variable (4.3): hls.js refuses a playlist with one that is not defined.
    """
    safe = "".join(" " if unicodedata.category(c) in _NOT_QUOTABLE else c for c in text)
    safe = safe.replace('"', "'").replace("{$", "{ $").strip()
    return unicodedata.normalize("NFC", safe) or "-"
