"""Muxers for tests of what lies above a container."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hlsorigin.errors import Unsupported
from hlsorigin.media.sample import Sample
from hlsorigin.media.timed_metadata import TimedMetadata
from hlsorigin.media.track import Track


class TextMuxer:
    """Writes samples as JSON: ``[[track_id, dts, pts, duration, is_sync], ...]``, a line a part."""

    file_extension = "ts"
    declares_metadata = False

    def __init__(self, refuse: Sequence[int] = ()) -> None:
        self.refuse = refuse
        self.tracks: list[tuple[Track, ...]] = []
        self.starts_next = True

    def check_track(self, track: Track) -> None:
        if track.track_id in self.refuse:
            raise Unsupported(f"{track.config.codec_string} can't be carried")

    def set_tracks(self, tracks: Sequence[Track], *, has_metadata: bool = False) -> None:
        self.tracks.append(tuple(tracks))
        self.starts_next = True

    def init_section(self) -> bytes | None:
        return None

    def mux(
        self,
        samples: Sequence[Sample],
        *,
        starts_segment: bool,
        metadata: Sequence[TimedMetadata] = (),
        date_offset_90k: int | None = None,
    ) -> bytes:
        assert starts_segment or not self.starts_next
        self.starts_next = False
        rows = [[s.track_id, s.dts, s.pts, s.duration, s.is_sync] for s in samples]
        return json.dumps(rows).encode() + b"\n"


def read_text(data: bytes) -> list[Sample]:
    """Give the samples that ``TextMuxer`` wrote."""
    rows = [row for line in data.splitlines() for row in json.loads(line)]
    return [Sample(a, b, c, d, e, b"") for a, b, c, d, e in rows]
