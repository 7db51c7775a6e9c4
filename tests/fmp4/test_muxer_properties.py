"""Random tracks and runs of samples: requirements 69 to 76 hold whatever comes."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings, strategies as st

from hlsorigin.fmp4.muxer import Fmp4Muxer
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track
from tests.support.media import ASC_44K, ASC_48K, audio_track, video_track
from tests.support.mp4_reader import Mp4Checker

RATES = {ASC_44K: 44_100, ASC_48K: 48_000}
tracks = st.lists(st.sampled_from(["video", ASC_44K, ASC_48K]), min_size=1, max_size=4)


@st.composite
def video_feed(draw: st.DrawFn, track_id: int, count: int) -> list[Sample]:
    """Give pictures with any frame duration, offset and kind."""
    time, out = draw(st.integers(900_000, 1 << 40)), []
    for index in range(count):
        duration = draw(st.sampled_from([1, 1500, 3000, 3003, 3600, 270_000]))
        is_sync = index == 0 or draw(st.booleans())
        offset = draw(st.sampled_from([0, 0, 3600, 7200])) + index % 7  # no PTS twice
        nal = (b"\x65" if is_sync else b"\x41") + b"\x9a" * draw(st.integers(1, 9))
        data = len(nal).to_bytes(4, "big") + nal
        out.append(Sample(track_id, time, time + offset, duration, is_sync, data))
        time += duration
    return out


@st.composite
def audio_feed(draw: st.DrawFn, track_id: int, rate: int, count: int) -> list[Sample]:
    """Give frames counted from an origin that is steered now and then, as the timeline does."""
    origin, out = draw(st.integers(900_000, 1 << 40)), []
    for index in range(count):
        dts = origin + index * 1024 * 90_000 // rate
        origin += draw(st.sampled_from([0, 0, 0, 1, 8, -8, 300, -300]))
        duration = origin + (index + 1) * 1024 * 90_000 // rate - dts
        data = draw(st.binary(min_size=1, max_size=9))
        out.append(Sample(track_id, dts, dts, duration, True, b"\x21" + data))
    return out


@settings(max_examples=150, deadline=None)
@given(st.data(), tracks)
def test_any_feed_in_any_cuts(data: st.DataObject, kinds: list[str | bytes]) -> None:
    chosen: list[Track] = []
    feeds: list[list[Sample]] = []
    for track_id, kind in enumerate(kinds, 1):
        count = data.draw(st.integers(1, 12))
        if isinstance(kind, str):
            chosen.append(Track(track_id, MediaKind.VIDEO, video_track().config))
            feeds.append(data.draw(video_feed(track_id, count)))
        else:
            chosen.append(Track(track_id, MediaKind.AUDIO, audio_track(kind).config))
            feeds.append(data.draw(audio_feed(track_id, RATES[kind], count)))
    samples = sorted((s for feed in feeds for s in feed), key=lambda each: each.dts)
    muxer, checker = Fmp4Muxer(), Mp4Checker()
    muxer.set_tracks(chosen)
    checker.feed(muxer.init_section() or b"")
    at = 0
    while at < len(samples):
        size = data.draw(st.integers(1, len(samples) - at))
        if data.draw(st.booleans()) and (empty := muxer.mux([], starts_segment=False)):
            checker.feed(empty)
        starts = data.draw(st.booleans())
        dated = data.draw(st.sampled_from([None, 1_760_000_000 * 90_000]))
        piece = muxer.mux(samples[at : at + size], starts_segment=starts, date_offset_90k=dated)
        checker.feed(piece, independent=False)
        at += size
    for track, feed in zip(chosen, feeds, strict=True):
        found = checker.samples[track.track_id]
        assert [(s.data, s.is_sync) for s in found] == [(s.data, s.is_sync) for s in feed]
        tolerance = 0 if track.kind is MediaKind.VIDEO else Fraction(4)
        for ours, sent in zip(found, feed, strict=True):
            assert abs(ours.pts_s * 90_000 - sent.pts) <= tolerance
