"""Rules 42 to 49: what segments of any container hold, as served."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest

from tests.spec.listing import Mp4Listed, TsListed, listed_segments, read_mp4
from tests.spec.stage import Recording
from tests.support.ts_reader import ADTS, VIDEO, split_adts

FRAME_S = Fraction(1, 25)


def _starts_s(each: TsListed | Mp4Listed) -> tuple[Fraction, Fraction]:
    """Give where the first picture and the first sound of a segment are presented."""
    if isinstance(each, TsListed):
        video = min(pes.pts for pes in each.ts.of_type(VIDEO))
        return Fraction(video, 90_000), Fraction(each.ts.of_type(ADTS)[0].pts, 90_000)
    found = {}
    for track in each.init.tracks.values():
        samples = each.mp4.samples(track.track_id)
        found[track.handler] = Fraction(min(s.pts for s in samples), track.timescale)
    return found["vide"], found["soun"]


@pytest.fixture(params=["ts_segments", "mp4_segments"])
def segments(request: pytest.FixtureRequest) -> Sequence[TsListed | Mp4Listed]:
    found: Sequence[TsListed | Mp4Listed] = request.getfixturevalue(request.param)
    return found


def test_rule_42_timestamps_go_on_over_segments(segments: Sequence[TsListed | Mp4Listed]) -> None:
    """Continuity counters are looked at with rule 53, decode times of fMP4 with rule 71."""
    steps = set()
    for before, after in pairwise(segments):
        if not after.entry.discontinuity:
            steps.add(_starts_s(after)[0] - _starts_s(before)[0])
    assert steps == {Fraction(1)}


def test_rule_43_extinf_is_the_duration_of_the_video(
    segments: Sequence[TsListed | Mp4Listed],
) -> None:
    """Each and in sum within a frame, up to each discontinuity."""
    start_s, sum_s = _starts_s(segments[0])[0], Fraction(0)
    for before, after in pairwise(segments):
        sum_s += Fraction(before.entry.duration_s)
        if after.entry.discontinuity:
            start_s, sum_s = _starts_s(after)[0], Fraction(0)
        assert abs(_starts_s(after)[0] - start_s - sum_s) <= FRAME_S
    for each in segments:
        if isinstance(each, TsListed):
            pictures = len(each.ts.of_type(VIDEO))
        else:
            pictures = len(each.mp4.samples(_track(each, "vide")))
        assert abs(pictures * FRAME_S - Fraction(each.entry.duration_s)) <= FRAME_S


def _track(each: Mp4Listed, handler: str) -> int:
    (track_id,) = [t.track_id for t in each.init.tracks.values() if t.handler == handler]
    return track_id


def test_rule_44_segments_begin_with_an_idr(segments: Sequence[TsListed | Mp4Listed]) -> None:
    """NAL type 5; the parameter sets are looked at with rules 60 and 68."""
    for each in segments:
        if isinstance(each, TsListed):
            assert b"\x00\x00\x01\x65" in each.ts.of_type(VIDEO)[0].payload
        else:
            first = each.mp4.samples(_track(each, "vide"))[0]
            assert first.is_sync
            at, types = 0, []
            while at < len(first.data):
                types.append(first.data[at + 4] & 31)
                at += 4 + int.from_bytes(first.data[at : at + 4], "big")
            assert 5 in types


def test_rule_45_changes_need_a_discontinuity(segments: Sequence[TsListed | Mp4Listed]) -> None:
    """The picture's size: by the SPS in TS, by the init section in fMP4."""
    sizes = []
    for each in segments:
        if isinstance(each, TsListed):
            payload = each.ts.of_type(VIDEO)[0].payload
            sizes.append(payload.split(b"\x00\x00\x01\x67")[1].split(b"\x00\x00\x01")[0])
        else:
            video = each.init.tracks[_track(each, "vide")]
            sizes.append(b"%dx%d" % (video.width, video.height))
    changes = [n for n, (a, b) in enumerate(pairwise(sizes), 1) if a != b]
    assert changes
    assert all(segments[n].entry.discontinuity for n in changes)


def test_rule_46_target_duration_is_that_of_the_setting(ts_stream: Recording) -> None:
    """AAS advises six seconds; what is asked for is what is cut and announced."""
    playlist = ts_stream.playlists()[0]
    assert playlist.target_duration_s == 1
    assert {float(each.duration_s) for each in listed_segments(ts_stream)[:11]} == {1.0}


def test_rule_47_bytes_of_a_uri_never_change(ts_stream: Recording) -> None:
    """First listed, and fetched again when its playlist was gone."""
    again = [name for name in ts_stream.answers if name.startswith("removed v0-")]
    assert again
    for name in again:
        uri = name.removeprefix("removed ")
        assert ts_stream.answers[name].content == ts_stream.data(uri)
    uris = [each.uri for each in listed_segments(ts_stream)]
    assert len(set(uris)) == len(uris)


def test_rule_48_audio_and_video_start_together(
    segments: Sequence[TsListed | Mp4Listed],
) -> None:
    apart = [_starts_s(each)[1] - _starts_s(each)[0] for each in segments]
    assert all(abs(each) <= Fraction(1, 4) for each in apart)
    # What comes first begins with the picture; then it is a frame of audio more or less.
    run = apart[1:12]
    assert max(run) - min(run) <= Fraction(1024, 48_000)


def test_rule_49_same_tracks_in_every_segment(segments: Sequence[TsListed | Mp4Listed]) -> None:
    tracks: dict[int, set[tuple[int, ...]]] = {}
    for each in segments:
        if isinstance(each, TsListed):
            having = tuple(sorted(pid for pid in each.ts.streams if each.ts.pes.get(pid)))
        else:
            having = tuple(sorted(t for t in each.init.tracks if each.mp4.samples(t)))
        assert len(having) == 2
        tracks.setdefault(each.entry.dsn, set()).add(having)
    assert all(len(each) == 1 for each in tracks.values())


def test_rule_49_in_every_rendition(ll_stream: Recording) -> None:
    for name in ll_stream.names:
        for each in read_mp4(ll_stream, name)[0]:
            assert all(each.mp4.samples(track_id) for track_id in each.init.tracks)
            assert sum(len(each.mp4.samples(t)) for t in each.init.tracks) >= 20


def test_rule_43_frames_of_audio_add_up(ts_segments: list[TsListed]) -> None:
    """No frame is lost or doubled at a cut: times from the count of samples, not milliseconds."""
    for before, after in pairwise(ts_segments):
        if after.entry.discontinuity:
            continue
        frames = sum(len(split_adts(pes.payload)) for pes in before.ts.of_type(ADTS))
        step = after.ts.of_type(ADTS)[0].pts - before.ts.of_type(ADTS)[0].pts
        assert step == frames * 1920
