"""What a stream's segments hold, read with the strict readers of the tests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tests.spec.stage import Recording, map_uri
from tests.support.hls_playlist import MediaSegment
from tests.support.mp4_reader import Init, Mp4Checker, Segment as Mp4Segment
from tests.support.ts_reader import TsSegment, TsState, read_segment


@dataclass(frozen=True, slots=True)
class TsListed:
    """A segment as listed and as read."""

    entry: MediaSegment
    data: bytes
    ts: TsSegment


@dataclass(frozen=True, slots=True)
class Mp4Listed:
    """A segment as listed and as read."""

    entry: MediaSegment
    data: bytes
    init: Init
    init_data: bytes
    mp4: Mp4Segment


@cache
def listed_segments(recording: Recording, name: str = "v0.m3u8") -> list[MediaSegment]:
    """Give every segment that was ever listed, in order."""
    found = {each.msn: each for playlist in recording.playlists(name) for each in playlist.segments}
    return [found[msn] for msn in sorted(found)]


@cache
def read_ts(recording: Recording, name: str = "v0.m3u8") -> list[TsListed]:
    """Read and check all segments; at a discontinuity everything may begin anew."""
    found, state = [], TsState()
    for entry in listed_segments(recording, name):
        if entry.discontinuity:
            state = TsState()
        data = recording.data(entry.uri)
        segment = read_segment(data, state)
        state = segment.state
        found.append(TsListed(entry, data, segment))
    return found


@cache
def read_mp4(recording: Recording, name: str = "v0.m3u8") -> tuple[list[Mp4Listed], Mp4Checker]:
    """Read and check all segments with their init sections."""
    checker, found, map_in_force = Mp4Checker(), [], ""
    for entry in listed_segments(recording, name):
        init_uri = map_uri(entry.init_map)
        init_data = recording.data(init_uri)
        if init_uri != map_in_force:
            checker.feed(init_data, discontinuity=entry.discontinuity)
            map_in_force = init_uri
        elif entry.discontinuity:
            checker.feed(init_data, discontinuity=True)
        data = recording.data(entry.uri)
        segment = checker.feed(data, discontinuity=entry.discontinuity)
        assert isinstance(segment, Mp4Segment) and checker.init is not None
        found.append(Mp4Listed(entry, data, checker.init, init_data, segment))
    return found, checker
