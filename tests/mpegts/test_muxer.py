from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.errors import CodecError, Unsupported
from hlsorigin.hls.muxer import Muxer
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track
from hlsorigin.mpegts.muxer import TsMuxer
from tests.mpegts.feeds import (
    AAC_TICKS,
    AUDIO,
    MP3_HEADER,
    PPS,
    SPS,
    aac_track,
    audio,
    by_dts,
    mp3_track,
    steady_audio,
    steady_video,
    video,
    video_track,
)
from tests.support.ts_reader import (
    TsSegment,
    TsState,
    read_segment,
    signed,
    split_adts,
    split_annexb,
)

VIDEO_PID, AUDIO_PID, MPEG_AUDIO_PID = 0x100, 0x101, 0x111


def muxer_of(*tracks: Track) -> TsMuxer:
    muxer = TsMuxer()
    muxer.set_tracks(tracks)
    return muxer


def one(tracks: Sequence[Track], samples: list[Sample]) -> TsSegment:
    return read_segment(muxer_of(*tracks).mux(samples, starts_segment=True))


def test_says_what_it_makes() -> None:
    muxer: Muxer = TsMuxer()  # mypy checks that the seam fits
    assert muxer.file_extension == "ts"


def test_video_and_audio() -> None:
    segment = one((video_track(), aac_track()), by_dts(steady_video(60), steady_audio(94)))
    assert list(segment.streams.items()) == [(VIDEO_PID, 0x1B), (AUDIO_PID, 0x0F)]
    assert segment.pcr_pid == VIDEO_PID
    assert segment.pmt_pid == 0x1000
    assert segment.pmt_version == 0
    assert [pes.pts for pes in segment.pes[VIDEO_PID]] == [900_000 + 3000 * n for n in range(60)]
    frames = [split_adts(pes.payload) for pes in segment.pes[AUDIO_PID]]
    assert sum(map(len, frames)) == 94
    assert {len(group) for group in frames[:-1]} == {7}  # 7 * 21.3 ms, the most within 170 ms
    assert frames[0][0].payload == b"\x21" * 341
    assert (frames[0][0].profile, frames[0][0].rate_index, frames[0][0].channels) == (1, 3, 2)


def test_first_dts_in_byte_order() -> None:
    """Players read a segment in order: no stream may lag behind the other in the bytes."""
    segment = one((video_track(), aac_track()), by_dts(steady_video(60), steady_audio(94)))
    times = [pes.dts for pes in segment.in_order]
    assert times == sorted(times)


def test_audio_only_carries_the_clock() -> None:
    segment = one((aac_track(),), steady_audio(94))
    assert segment.streams == {AUDIO_PID: 0x0F}
    assert segment.pcr_pid == AUDIO_PID
    assert all(pes.has_pcr for pes in segment.in_order)
    assert {len(split_adts(pes.payload)) for pes in segment.in_order[:-1]} == {3}
    assert [pes.random_access for pes in segment.in_order] == [True] + [False] * 31


def test_video_only() -> None:
    segment = one((video_track(),), steady_video(25, step=3600))
    assert segment.streams == {VIDEO_PID: 0x1B}
    assert all(pes.has_pcr for pes in segment.in_order)
    assert not any(pcr.alone for pcr in segment.pcrs)  # 40 ms apart without help


@pytest.mark.parametrize("frame_s", [1, 10])
@pytest.mark.parametrize("with_audio", [False, True])
def test_clock_at_rare_frames(frame_s: int, with_audio: bool) -> None:
    """2.7.2: 100 ms between two PCR, also where a frame stands for seconds."""
    step = frame_s * 90_000
    muxer = muxer_of(video_track(), *((aac_track(),) if with_audio else ()))
    state = TsState()
    for n in range(4):
        frames = steady_video(3, start=900_000 + 3 * n * step, step=step)
        sound = [
            sample
            for sample in steady_audio(200 * frame_s, start=900_000)
            if frames[0].dts <= sample.dts < frames[0].dts + 3 * step
        ]
        samples = by_dts(frames, sound if with_audio else [])
        segment = read_segment(muxer.mux(samples, starts_segment=True), state)
        last = segment.pcrs[-1].value // 300
        assert frames[0].dts + 3 * step - 45_000 - last <= 9000  # filled up to the end


def test_b_frames_carry_both_times() -> None:
    offsets = [6000, 12000, 6000, 0, 3000]
    frames = [video(900_000 + 3000 * n, cts=cts, key=n == 0) for n, cts in enumerate(offsets)]
    segment = one((video_track(),), frames)
    assert [(p.dts, p.pts, p.has_dts) for p in segment.in_order] == [
        (f.dts, f.pts, f.pts != f.dts) for f in frames
    ]


def test_parameter_sets_before_every_keyframe() -> None:
    """H.264 in FLV has them out of band; a player may join at any keyframe."""
    segment = one((video_track(),), steady_video(6, gop=3))
    nals = [split_annexb(pes.payload) for pes in segment.in_order]
    assert [[nal[0] & 31 for nal in unit] for unit in nals] == [
        [9, 7, 8, 5], [9, 1], [9, 1], [9, 7, 8, 5], [9, 1], [9, 1],
    ]  # fmt: skip
    assert nals[0][:3] == [b"\x09\xf0", SPS, PPS]


def test_samples_stay_as_they_were() -> None:
    frame = video(900_000, key=True)
    before = frame.data
    muxer = muxer_of(video_track())
    muxer.mux([frame], starts_segment=True)
    assert frame.data is before


def test_mp3() -> None:
    frame = MP3_HEADER + bytes(413)
    samples = [Sample(AUDIO, 900_000 + 2351 * n, 900_000 + 2351 * n, 2351, True, frame)
               for n in range(12)]  # fmt: skip
    segment = one((mp3_track(),), samples)
    assert segment.streams == {MPEG_AUDIO_PID: 0x03}
    assert b"".join(pes.payload for pes in segment.in_order) == frame * 12


def test_mpeg2_audio_has_its_own_stream_type() -> None:
    """Table 2-34: 0x03 is ISO/IEC 11172-3, 0x04 is ISO/IEC 13818-3 (half sampling rates)."""
    mpeg2 = bytes.fromhex("fff38064")
    samples = [Sample(AUDIO, 900_000, 900_000, 2160, True, mpeg2 + bytes(188))]
    assert one((mp3_track(mpeg2),), samples).streams == {MPEG_AUDIO_PID: 0x04}


# ---- over several calls --------------------------------------------------------------------------


def test_runs_on_over_segments_and_the_wrap() -> None:
    """RFC 8216 section 3: counters and timestamps go on; 2.4.3.7: PTS is modulo 2**33."""
    muxer, state = muxer_of(video_track(), aac_track()), TsState()
    start = (1 << 33) - 3 * 90_000
    for n in range(4):
        base = start + n * 180_000
        samples = by_dts(steady_video(60, start=base), steady_audio(94, start=base + n * 480))
        segment = read_segment(muxer.mux(samples, starts_segment=True), state)
        assert not any(pcr.discontinuity for pcr in segment.pcrs)
        assert [pes.pts for pes in segment.pes[VIDEO_PID]] == [
            (base + 3000 * k) % (1 << 33) for k in range(60)
        ]


def test_starts_at_zero() -> None:
    """PCR of the first packets lies before 2**33 wraps to 0."""
    segment = one((video_track(),), steady_video(30, start=0))
    assert segment.pcrs[0].value // 300 == (1 << 33) - 45_000
    assert signed(segment.in_order[0].dts - segment.pcrs[0].value // 300) == 45_000


def test_audio_first() -> None:
    """Nothing comes before the first PCR, though it is on the PID of video."""
    samples = by_dts(steady_audio(20), steady_video(10, start=900_500))
    segment = one((video_track(), aac_track()), samples)
    assert segment.pcrs[0].alone
    assert not segment.pcrs[0].discontinuity
    assert segment.pcrs[0].packet_index == 2


@pytest.mark.parametrize("jump_s", [-3600, -20, -1, 11, 60, 100_000])
@pytest.mark.parametrize("audio_first", [False, True])
def test_jump_announces_a_new_time_base(jump_s: int, audio_first: bool) -> None:
    """2.4.3.4: discontinuity_indicator on the first PCR of a new time base, and no filling."""
    muxer, state = muxer_of(video_track(), aac_track()), TsState()
    start = 400_000_000
    first = by_dts(steady_video(30, start=start), steady_audio(47, start=start))
    read_segment(muxer.mux(first, starts_segment=True), state)
    start += 90_000 + jump_s * 90_000
    lag = 100 if audio_first else 0
    second = by_dts(steady_video(30, start=start + lag), steady_audio(47, start=start))
    segment = read_segment(muxer.mux(second, starts_segment=True), state)
    assert [pcr.discontinuity for pcr in segment.pcrs][:3] == [True, False, False]
    assert segment.pcrs[0].alone == audio_first
    assert len(segment.pcrs) < 40


def test_silence_is_filled() -> None:
    """A hole of seconds without a discontinuity: the clock goes on in the next segment."""
    muxer, state = muxer_of(aac_track()), TsState()
    read_segment(muxer.mux(steady_audio(40), starts_segment=True), state)
    later = steady_audio(40, start=900_000 + 40 * AAC_TICKS + 5 * 90_000)
    segment = read_segment(muxer.mux(later, starts_segment=True), state)
    assert not segment.pcrs[0].discontinuity
    assert [pcr.alone for pcr in segment.pcrs].index(False) == 55


def test_audio_tail_behind_the_cut() -> None:
    """Audio is cut by PTS: with B-frames it ends later than the DTS of the next keyframe."""
    muxer, state = muxer_of(video_track(), aac_track()), TsState()
    for n in range(3):
        base = 900_000 + n * 90_000
        frames = steady_video(30, start=base - 6000)
        for frame in frames:
            frame.pts += 6000
        sound = steady_audio(47, start=base)
        segment = read_segment(muxer.mux(by_dts(frames, sound), starts_segment=True), state)
        assert not any(pcr.discontinuity for pcr in segment.pcrs)


def test_long_audio_tail_behind_the_cut() -> None:
    """With rare frames the tail is longer than PCR's lead: PCR must not pass the next DTS."""
    muxer, state = muxer_of(video_track(), aac_track()), TsState()
    for n in range(3):
        base = 900_000 + n * 360_000
        frames = steady_video(4, start=base - 180_000, step=90_000)
        for frame in frames:
            frame.pts += 180_000
        sound = steady_audio(187, start=base)
        octets = muxer.mux(by_dts(frames, sound), starts_segment=True)
        segment = read_segment(octets, state, max_dts_ahead_ms=2600)
        assert not any(pcr.discontinuity for pcr in segment.pcrs)


def test_pcr_goes_on_for_audio_behind_the_last_picture() -> None:
    """Bytes wait a second at most (2.4.2.3), also where video ended 700 ms before audio."""
    muxer, state = muxer_of(video_track(), aac_track()), TsState()
    for n in range(3):
        base = 900_000 + n * 180_000
        sound = steady_audio(93, start=base)
        octets = muxer.mux(by_dts(steady_video(39, start=base), sound), starts_segment=True)
        segment = read_segment(octets, state, max_dts_ahead_ms=1000)
        assert not any(pcr.discontinuity for pcr in segment.pcrs)


def test_segment_that_opens_with_audio_has_a_pcr_before_it() -> None:
    """A player that joins here needs the clock before the first bytes."""
    muxer = muxer_of(video_track(), aac_track())
    for n in range(3):
        base = 900_000 + n * 90_000
        sound = steady_audio(47, start=base - 300 if n else base)
        octets = muxer.mux(by_dts(steady_video(30, start=base), sound), starts_segment=True)
        read_segment(octets, TsState())


def test_parts_begin_with_tables_and_clock() -> None:
    """Players begin with any independent part, before they have any other."""
    muxer, state = muxer_of(video_track(), aac_track()), TsState()
    frames, sound = steady_video(90), steady_audio(141)
    pats = []
    for n in range(15):
        start = 900_000 + n * 18_000
        samples = [s for s in by_dts(frames, sound) if start <= s.dts < start + 18_000]
        part = read_segment(muxer.mux(samples, starts_segment=n == 0), state, opens_segment=n == 0)
        assert part.pcrs[0].packet_index <= 3
        pats.append(len(part.pats))
    assert pats == [1] * 15


# ---- tracks --------------------------------------------------------------------------------------


def test_pmt_version_follows_the_tracks() -> None:
    """2.4.4.9: version_number grows by 1 modulo 32 whenever a definition changes."""
    muxer, state, versions = TsMuxer(), TsState(), []
    sets: list[tuple[Track, ...]] = [
        (video_track(), aac_track()),
        (video_track(), aac_track()),  # the same: nothing new
        (aac_track(),),
        (video_track(), aac_track()),
        (video_track(PPS + b"\x01"), aac_track()),  # same PMT, new codec configuration
        (video_track(), mp3_track()),
    ]
    for n, tracks in enumerate(sets * 10):
        muxer.set_tracks(tracks)
        start = 900_000 + n * 90_000
        frames = steady_video(30, start=start) if len(tracks) == 2 else []
        samples = by_dts(frames, steady_audio(46, start=start))
        segment = read_segment(muxer.mux(samples, starts_segment=True), state)
        versions.append(segment.pmt_version)
    assert versions[:7] == [0, 0, 1, 2, 3, 4, 5]
    assert max(versions) == 31
    assert versions[-1] == (10 * 5 - 1) % 32


def test_order_of_tracks_does_not_matter() -> None:
    segment = one((aac_track(), video_track()), by_dts(steady_audio(9), steady_video(6)))
    assert segment.streams == {VIDEO_PID: 0x1B, AUDIO_PID: 0x0F}
    assert segment.pcr_pid == VIDEO_PID


def test_second_audio_track() -> None:
    other = Track(3, MediaKind.AUDIO, mp3_track().config)
    sample = Sample(3, 900_000, 900_000, 2351, True, MP3_HEADER + bytes(413))
    segment = one((aac_track(), other), [*steady_audio(1), sample])
    assert segment.streams == {AUDIO_PID: 0x0F, MPEG_AUDIO_PID: 0x03}


def test_new_tracks_bring_the_tables_even_within_a_segment() -> None:
    muxer, state = muxer_of(aac_track()), TsState()
    read_segment(muxer.mux(steady_audio(4), starts_segment=True), state)
    muxer.set_tracks((mp3_track(),))
    sample = Sample(AUDIO, 910_000, 910_000, 2351, True, MP3_HEADER + bytes(413))
    part = read_segment(muxer.mux([sample], starts_segment=False), state, opens_segment=False)
    assert part.streams == {MPEG_AUDIO_PID: 0x03}


def test_refuses_what_adts_cannot_say() -> None:
    """AudioSpecificConfig with an explicit rate of 44 099 Hz has no ADTS header."""
    bits = f"{2:05b}{15:04b}{44_099:024b}{2:04b}000"
    asc = int(bits, 2).to_bytes(5, "big")
    track = aac_track(AacConfig.parse(asc))
    muxer = muxer_of(aac_track())
    with pytest.raises(Unsupported, match="44099"):
        muxer.check_track(track)
    with pytest.raises(Unsupported, match="44099"):
        muxer.set_tracks((track,))
    read_segment(muxer.mux(steady_audio(4), starts_segment=True))  # goes on as before


@dataclass(frozen=True)
class OpusConfig:
    codec_string: str = "opus"


def test_refuses_a_codec_it_does_not_know() -> None:
    track = Track(AUDIO, MediaKind.AUDIO, OpusConfig())  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match=r"Opus \(opus\) can't be carried in MPEG-TS"):
        TsMuxer().check_track(track)


# ---- audio units ---------------------------------------------------------------------------------


def units_of(samples: list[Sample]) -> list[tuple[int, int]]:
    """Give (pts, frames) of each PES of an audio-only segment."""
    segment = one((aac_track(),), samples)
    return [(pes.pts, len(split_adts(pes.payload))) for pes in segment.in_order]


def test_a_hole_begins_a_new_unit() -> None:
    assert units_of([audio(0), audio(AAC_TICKS + 45), audio(2 * AAC_TICKS)]) == [(0, 3)]
    assert units_of([audio(0), audio(AAC_TICKS + 46)]) == [(0, 1), (AAC_TICKS + 46, 1)]
    assert units_of([audio(0), audio(AAC_TICKS - 46)]) == [(0, 1), (AAC_TICKS - 46, 1)]


def test_small_errors_do_not_add_up() -> None:
    """Frames that each come 10 ticks late are counted from the unit's first one."""
    starts = [n * (AAC_TICKS // 4 + 10) for n in range(15)]
    samples = [audio(start, AAC_TICKS // 4) for start in starts]
    units = units_of(samples)
    assert [count for _, count in units] == [5, 5, 5]
    assert [pts for pts, _ in units] == starts[::5]


def test_length_of_a_unit_is_bounded() -> None:
    """PES_packet_length has 16 bits and must be exact for audio."""
    samples = [audio(n * 100, 100, size=8000) for n in range(20)]
    segment = one((aac_track(),), samples)
    assert [len(split_adts(pes.payload)) for pes in segment.in_order] == [8, 8, 4]


def test_frame_too_long() -> None:
    with pytest.raises(CodecError):
        one((aac_track(),), [audio(0, size=8185)])
    with pytest.raises(CodecError, match="audio frame of 65528 bytes"):
        one((mp3_track(),), [audio(0, size=65_528)])
    assert one((mp3_track(),), [audio(0, size=65_527)]).in_order[0].declared_length == 65_535


def test_empty_audio_frame() -> None:
    assert units_of([audio(0, size=0)]) == [(0, 1)]


def test_malformed_video_moves_no_counter() -> None:
    muxer, state = muxer_of(video_track()), TsState()
    read_segment(muxer.mux(steady_video(3), starts_segment=True), state)
    broken = steady_video(3, start=909_000)
    broken[2].data = b"\x00\x00\x00\x09\x65"
    with pytest.raises(CodecError):
        muxer.mux(broken, starts_segment=True)
    read_segment(muxer.mux(steady_video(3, start=909_000), starts_segment=True), state)


def test_the_first_audio_of_a_segment_is_a_point_to_start_at_also_in_a_later_part() -> None:
    muxer = muxer_of(video_track(), aac_track())
    frames = steady_video(10)
    first = muxer.mux(frames[:5], starts_segment=True)
    late = steady_audio(5, start=frames[5].dts)
    second = muxer.mux(by_dts(frames[5:], late), starts_segment=False)
    read_segment(first + second, TsState())
