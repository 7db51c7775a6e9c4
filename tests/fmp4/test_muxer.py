"""Times, flags and extra boxes, on synthetic samples; read by the strict reader."""

from __future__ import annotations

import pytest

from hlsorigin.fmp4.muxer import Fmp4Muxer
from hlsorigin.hls.timeline import Timeline
from hlsorigin.media.sample import Sample
from hlsorigin.media.timed_metadata import ID3_SCHEME, SCTE35_SCHEME, TimedMetadata
from hlsorigin.media.track import Track
from tests.fmp4.feeds import feed
from tests.support.elementary import FFMPEG
from tests.support.media import (
    ASC_44K,
    AUDIO,
    VIDEO,
    audio_ms,
    audio_track,
    interleave,
    video_ms,
    video_track,
)
from tests.support.mp4_boxes import read_boxes
from tests.support.mp4_reader import Init, Mp4Checker, Segment, read_fragments, read_init

SYNC, NON_SYNC = 0x0200_0000, 0x0101_0000


def muxer_of(*tracks: Track) -> tuple[Fmp4Muxer, Init]:
    muxer = Fmp4Muxer()
    muxer.set_tracks(tracks or (video_track(), audio_track()))
    return muxer, read_init(muxer.init_section() or b"")


def timed(feed: list[Sample], start: int = 900_000, each: int = 3600) -> list[Sample]:
    """Move a feed and set what the segmenter sets."""
    for index, sample in enumerate(feed):
        sample.dts = sample.pts = start + index * each
        sample.duration = each
    return feed


def test_brands_claim_no_more_than_holds() -> None:
    """CMAF wants one track per file (23000-19 7.3.1)."""
    assert muxer_of(video_track())[1].brands == {"iso6", "mp41", "cmfc"}
    assert muxer_of(video_track(), audio_track())[1].brands == {"iso6", "mp41"}


def test_equal_tracks_keep_the_init_section_and_time() -> None:
    muxer, init = muxer_of(video_track())
    before = muxer.init_section()
    muxer.mux(timed(video_ms(400, gop=50)), starts_segment=True)
    muxer.set_tracks([video_track()])
    assert muxer.init_section() == before
    data = muxer.mux(timed(video_ms(400, gop=50), 936_000), starts_segment=False)
    (fragment,) = read_fragments(data, init).fragments
    assert (fragment.sequence_number, fragment.decode_times) == (2, {VIDEO: 936_000})


@pytest.mark.parametrize(
    ("keys", "trun", "default"),
    [
        ([0], 0x205, NON_SYNC),  # the first sample's flags stand alone
        ([], 0x201, NON_SYNC),
        ([0, 1, 2, 3], 0x201, SYNC),
        ([0, 2], 0x601, NON_SYNC),
        ([2], 0x601, NON_SYNC),
    ],
)
def test_flags_are_written_once_where_they_can(keys: list[int], trun: int, default: int) -> None:
    """14496-12 8.8.8; Chromium and hls.js read these to find the first keyframe."""
    muxer, init = muxer_of(video_track())
    samples = timed(video_ms(160, gop=99))
    for index, sample in enumerate(samples):
        sample.is_sync = index in keys
        sample.data = sample.data[:4] + (b"\x65" if index in keys else b"\x41") + sample.data[5:]
    data = muxer.mux(samples, starts_segment=False)
    moof = read_boxes(data)[0].children()
    traf = next(box for box in moof if box.type == "traf").children()
    assert int.from_bytes(traf[0].body[12:16], "big") == default
    assert int.from_bytes(traf[2].body[1:4], "big") == trun
    found = read_fragments(data, init).samples(VIDEO)
    assert [s.is_sync for s in found] == [s.is_sync for s in samples]


def test_styp_opens_segments_only() -> None:
    muxer, init = muxer_of(video_track())
    first = read_fragments(muxer.mux(timed(video_ms(200)), starts_segment=True), init)
    second = read_fragments(muxer.mux(timed(video_ms(200), 918_000), starts_segment=False), init)
    assert first.brands == frozenset({"msdh", "iso6"})
    assert second.brands is None
    assert not first.prfts  # no date was given


def test_metadata_stands_before_the_moof() -> None:
    """23009-1 5.10.3.3, version 1; 0xFFFFFFFF: unknown duration."""
    muxer, init = muxer_of()
    items = [
        TimedMetadata(918_000, None, ID3_SCHEME, "", 7, b"ID3\x04"),
        TimedMetadata(927_000, 180_000, SCTE35_SCHEME, "1001", 8, b"\xfc0"),
    ]
    data = muxer.mux(timed(video_ms(200)), starts_segment=True, metadata=items, date_offset_90k=0)
    assert [box.type for box in read_boxes(data)] == [
        "styp", "prft", "emsg", "emsg", "moof", "mdat",
    ]  # fmt: skip
    first, second = read_fragments(data, init).emsgs
    assert (first.version, first.timescale, first.presentation_time) == (1, 90_000, 918_000)
    assert (first.duration, first.event_id, first.payload) == (0xFFFF_FFFF, 7, b"ID3\x04")
    assert (first.scheme_id_uri, second.value, second.duration) == (ID3_SCHEME, "1001", 180_000)


def test_metadata_of_audio_alone_is_on_its_clock() -> None:
    muxer, init = muxer_of(audio_track())
    item = TimedMetadata(900_000, 90_000, ID3_SCHEME, "", 1, b"ID3")
    data = muxer.mux(timed(audio_ms(200), each=1920), starts_segment=True, metadata=[item])
    (emsg,) = read_fragments(data, init).emsgs
    assert (emsg.timescale, emsg.presentation_time, emsg.duration) == (48_000, 480_000, 48_000)


def test_nothing_to_send_is_a_valid_fragment() -> None:
    muxer, init = muxer_of()
    assert muxer.mux([], starts_segment=True) == b""
    muxer.mux(timed(video_ms(200)), starts_segment=True)
    item = TimedMetadata(918_000, None, ID3_SCHEME, "", 7, b"ID3")
    segment = read_fragments(muxer.mux([], starts_segment=False, metadata=[item]), init)
    (fragment,) = segment.fragments
    assert fragment.tracks == {VIDEO: [], AUDIO: []}
    # hls.js takes the earliest tfdt of a segment for its start: none lies before the samples.
    assert fragment.decode_times == {VIDEO: 918_000, AUDIO: 489_600}
    assert len(segment.emsgs) == 1


def test_a_silent_track_has_no_traf() -> None:
    muxer, init = muxer_of()
    (fragment,) = read_fragments(
        muxer.mux(timed(video_ms(200)), starts_segment=True), init
    ).fragments
    assert set(fragment.tracks) == {VIDEO}


def test_lost_audio_frames_jump_the_time() -> None:
    """tfdt says where the sound goes on; no frame is stretched over the hole."""
    muxer, init = muxer_of(video_track(), audio_track())
    video = timed(video_ms(1000))
    audio = timed(audio_ms(1000), each=1920)
    audio = audio[:20] + audio[30:]
    data = muxer.mux(list(interleave(video, audio)), starts_segment=True)
    checker = Mp4Checker(allows_gaps=True)
    checker.feed(muxer.init_section() or b"")
    segment = checker.feed(data)
    assert isinstance(segment, Segment)
    assert [sorted(f.tracks) for f in segment.fragments] == [[VIDEO, AUDIO]] * 2
    assert checker.gaps == {AUDIO: [10 * 1024]}
    assert {s.duration for s in segment.samples(AUDIO)} == {1024}
    assert [s.dts for s in segment.samples(VIDEO)] == [s.dts for s in video]
    assert init.tracks[AUDIO].timescale == 48_000


def test_hole_between_parts_jumps_and_overlap_is_squeezed() -> None:
    muxer, init = muxer_of(video_track())
    muxer.mux(timed(video_ms(200)), starts_segment=True)
    after_hole = read_fragments(
        muxer.mux(timed(video_ms(200), 1_800_000), starts_segment=True), init
    )
    assert after_hole.fragments[0].decode_times == {VIDEO: 1_800_000}
    # The last duration was a guess that was too long by 5 ticks.
    overlapping = timed(video_ms(200), 1_817_995)
    found = read_fragments(muxer.mux(overlapping, starts_segment=False), init).samples(VIDEO)
    assert [s.dts for s in found[:2]] == [1_818_000, 1_821_595]
    assert [s.pts for s in found] == [s.pts for s in overlapping]  # pictures stay where they were
    earlier = read_fragments(muxer.mux(timed(video_ms(200)), starts_segment=True), init)
    assert earlier.fragments[0].decode_times == {VIDEO: 900_000}  # a new clock


@pytest.mark.parametrize("ppm", [0, 300, -300, 20_000, -20_000])
@pytest.mark.parametrize("asc", [ASC_44K, bytes.fromhex("1588")])
def test_audio_counts_samples_and_follows_the_encoders_clock(ppm: int, asc: bytes) -> None:
    """44.1 kHz and 8 kHz through the real timeline, 90 s: rule 71 in ticks, and no drift."""
    track = audio_track(asc)
    muxer, _ = muxer_of(track)
    checker = Mp4Checker()
    checker.feed(muxer.init_section() or b"")
    timeline = Timeline(900_000)
    timeline.set_track(track)
    rate = track.config.core_sample_rate  # type: ignore[union-attr]
    samples = []
    for index in range(90 * rate // 1024):
        ms = round(index * 1024 * 1000 / rate * (1 + ppm / 1e6))
        samples.append(Sample(AUDIO, ms * 90, ms * 90, 0, True, b"\x21" * 9))
        timeline.place(samples[-1])
    for at in range(0, len(samples), 20):
        checker.feed(muxer.mux(samples[at : at + 20], starts_segment=True))
    found = checker.samples[AUDIO]
    assert max(abs(f.dts_s * 90_000 - s.dts) for f, s in zip(found, samples, strict=True)) < 3 + (
        45_000 / rate
    )
    changed = [f for f in found if f.duration_s * rate != 1024]
    assert bool(changed) == (ppm != 0)
    if abs(ppm) == 300:
        assert len(changed) < len(found) / 4
    assert all(abs(f.duration_s * rate - 1024) <= 512 for f in found)


@pytest.mark.skipif(not FFMPEG, reason="no ffmpeg here")
def test_damaged_opus_frames_keep_their_time() -> None:
    """What can't be counted lasts as long as the timeline says."""
    track, samples = feed("opus", AUDIO, 900_000)
    samples[3].data = b"\xff"  # code 3 without a frame count (RFC 6716 3.2.5)
    muxer, _ = muxer_of(track)
    checker = Mp4Checker()
    checker.feed(muxer.init_section() or b"")
    for at in range(0, 40, 8):
        checker.feed(muxer.mux(samples[at : at + 8], starts_segment=True))
    assert {s.duration_s for s in checker.samples[AUDIO]} == {checker.samples[AUDIO][0].duration_s}
