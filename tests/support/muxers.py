"""Muxers for tests of what lies above a container."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hlsorigin.errors import Unsupported
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track


class TextMuxer:
    """Writes samples as JSON: ``[[track_id, dts, pts, duration, is_sync], ...]``."""

    file_extension = "ts"

    def __init__(self, refuse: Sequence[int] = ()) -> None:
        self.refuse = refuse
        self.tracks: list[tuple[Track, ...]] = []

    def check_track(self, track: Track) -> None:
        if track.track_id in self.refuse:
            raise Unsupported(f"{track.config.codec_string} can't be carried")

    def set_tracks(self, tracks: Sequence[Track]) -> None:
        self.tracks.append(tuple(tracks))

    def mux(self, samples: Sequence[Sample], *, starts_segment: bool) -> bytes:
        assert samples
        assert starts_segment
        rows = [[s.track_id, s.dts, s.pts, s.duration, s.is_sync] for s in samples]
        return json.dumps(rows).encode()


def read_text(data: bytes) -> list[Sample]:
    """Give the samples that ``TextMuxer`` wrote."""
    return [Sample(a, b, c, d, e, b"") for a, b, c, d, e in json.loads(data)]
