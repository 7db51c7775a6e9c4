"""Whatever the samples are, the strict reader finds every rule of a segment kept."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings, strategies as st

from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track
from hlsorigin.mpegts.muxer import TsMuxer
from tests.mpegts.feeds import aac_track, audio, by_dts, video, video_track
from tests.support.ts_reader import ADTS, VIDEO, TsState, read_segment, split_adts, split_annexb

#: Frame sizes: mostly small, some around multiples of a packet's payload, some huge.
sizes = st.one_of(
    st.integers(6, 3000),
    st.builds(
        lambda packets, offset: max(6, 184 * packets + offset),
        st.integers(1, 140),
        st.integers(-40, 40),
    ),
    st.integers(60_000, 200_000),
)
#: 0.1 to 1000 frames per second, as ticks.
frame_ticks = st.sampled_from([90, 750, 1500, 1501, 3003, 3600, 9000, 90_000, 900_000])
starts = st.one_of(
    st.integers(0, 100_000),
    st.integers((1 << 33) - 400_000, (1 << 33) + 100_000),
    st.integers(0, 1 << 40),
)
#: AAC frame durations: 96 kHz, 48 kHz, 44.1 kHz (rounded down), 8 kHz.
audio_ticks = st.sampled_from([960, 1920, 2089, 11_520])
MAX_AUDIO_FRAMES = 400


@dataclass
class Feed:
    """Some segments of a stream."""

    tracks: tuple[Track, ...]
    segments: list[list[Sample]]


@st.composite
def feeds(draw: st.DrawFn) -> Feed:
    kind = draw(st.sampled_from(["both", "video", "audio"]))
    step, audio_step = draw(frame_ticks), draw(audio_ticks)
    start = audio_at = draw(starts)
    reorder = draw(st.booleans())
    segments: list[list[Sample]] = []
    for _ in range(draw(st.integers(1, 3))):
        frames: list[Sample] = []
        if kind != "audio":
            for n in range(draw(st.integers(1, 12))):
                offset = min(step, 9000) * draw(st.integers(0, 3)) if reorder else 0
                key = n == 0 or draw(st.integers(0, 9)) == 0
                at = start + n * step
                frames.append(video(at, step, size=draw(sizes), key=key, cts=offset))
            end = start + len(frames) * step
        else:
            end = start + draw(st.integers(1, 200_000))
        sound: list[Sample] = []
        size = draw(st.integers(0, 2000))
        while kind != "video" and audio_at < end and len(sound) < MAX_AUDIO_FRAMES:
            # One frame in some is off by what a timeline's rounding or steering leaves.
            late = draw(st.sampled_from([0, 0, 1, 8, 200])) if len(sound) < 20 else 0
            sound.append(audio(audio_at + late, audio_step, size=size))
            audio_at += audio_step + late
        audio_at = max(audio_at, end - 2 * audio_step)
        segments.append(by_dts(frames, sound))
        start = end
    tracks = {"both": (video_track(), aac_track()), "video": (video_track(),)}
    return Feed(tracks.get(kind, (aac_track(),)), [each for each in segments if each])


@settings(max_examples=150, deadline=None)
@given(feeds())
def test_every_rule_holds(feed: Feed) -> None:
    muxer, state = TsMuxer(), TsState()
    muxer.set_tracks(feed.tracks)
    for samples in feed.segments:
        segment = read_segment(muxer.mux(samples, starts_segment=True), state)
        frames = [each for each in samples if each.track_id == 1]
        units = segment.of_type(VIDEO)
        assert [(pes.dts, pes.pts, pes.random_access) for pes in units] == [
            (each.dts % (1 << 33), each.pts % (1 << 33), each.is_sync) for each in frames
        ]
        assert [split_annexb(pes.payload)[-1] for pes in units] == [s.data[4:] for s in frames]
        sound = [each for each in samples if each.track_id == 2]
        groups = [split_adts(pes.payload) for pes in segment.of_type(ADTS)]
        assert [f.payload for group in groups for f in group] == [each.data for each in sound]
        assert not any(pcr.discontinuity for pcr in segment.pcrs)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(starts, sizes), min_size=1, max_size=5), st.booleans())
def test_any_jump_is_announced(places: list[tuple[int, int]], with_audio: bool) -> None:
    """PCR <= DTS and the PCR interval hold between any two clocks, however far apart."""
    muxer, state = TsMuxer(), TsState()
    muxer.set_tracks((video_track(), aac_track()) if with_audio else (video_track(),))
    for start, size in places:
        frames = [video(start + 3000 * n, size=size, key=n == 0) for n in range(5)]
        sound = [audio(start + 1920 * n) for n in range(8)] if with_audio else []
        # The jump is up to the caller to hide from players; DTS starts anew with it.
        state.last_dts.clear()
        read_segment(muxer.mux(by_dts(frames, sound), starts_segment=True), state)
