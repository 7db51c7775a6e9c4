from __future__ import annotations

import pytest

from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.nal import join_annex_b
from hlsorigin.flv.demuxer import VIDEO_TRACK_ID, Demuxer, Item
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track
from tests.codecs.bitstreams import (
    AUD,
    RECOVERY_POINT_SEI,
    USER_DATA_SEI,
    SpsFields,
    pps,
    slice_nal,
)
from tests.flv.payloads import (
    I_SLICE,
    IDR,
    LARGER_SPS,
    P_SLICE,
    PPS,
    SPS,
    avc_frame,
    avc_header,
    avc_record,
    codes,
    feed_video,
    lengths,
    raw_avc_frame,
    samples,
    tracks,
)


def track_of(*sets: bytes) -> Track:
    sps = [nal for nal in sets if nal[0] & 0x1F == 7]
    pictures = [nal for nal in sets if nal[0] & 0x1F == 8]
    return Track(VIDEO_TRACK_ID, MediaKind.VIDEO, AvcConfig.from_parameter_sets(sps, pictures))


@pytest.fixture
def demuxer() -> Demuxer:
    """A demuxer that has had its sequence header."""
    made = Demuxer()
    assert made.video(0, avc_header()) == [track_of(SPS, PPS)]
    return made


def test_times_are_ticks_and_composition_offset_is_signed(demuxer: Demuxer) -> None:
    """E.4.3.1: CompositionTime is SI24, in milliseconds."""
    for cts_ms in (0, 80, -40, 8_388_607, -8_388_608):
        (sample,) = demuxer.video(1000, avc_frame(P_SLICE, cts_ms=cts_ms))
        expected = Sample(1, 90_000, 90_000 + 90 * cts_ms, 0, False, lengths(P_SLICE))
        assert sample == expected


def test_idr_makes_sync_whatever_the_header_says(demuxer: Demuxer) -> None:
    for key in (True, False):
        (sample,) = samples(demuxer.video(0, avc_frame(IDR, key=key)))
        assert sample.is_sync


def test_keyframe_flag_alone_makes_no_sync(demuxer: Demuxer) -> None:
    """Encoders flag any I picture; playback can't start there."""
    (sample,) = samples(demuxer.video(0, avc_frame(I_SLICE, key=True)))
    assert not sample.is_sync
    (sample,) = samples(demuxer.video(0, avc_frame(USER_DATA_SEI, I_SLICE, key=True)))
    assert not sample.is_sync


@pytest.mark.parametrize(
    ("nals", "key", "is_sync"),
    [
        ((RECOVERY_POINT_SEI, I_SLICE, I_SLICE), True, True),
        ((USER_DATA_SEI, RECOVERY_POINT_SEI, I_SLICE), True, True),
        ((RECOVERY_POINT_SEI, I_SLICE), False, False),
        ((RECOVERY_POINT_SEI, slice_nal(2, 7)), True, False),  # data partitioning: not looked into
        ((RECOVERY_POINT_SEI, P_SLICE), True, False),  # gradual refresh
        ((RECOVERY_POINT_SEI, I_SLICE, P_SLICE), True, False),
    ],
)
def test_open_gop(demuxer: Demuxer, nals: tuple[bytes, ...], key: bool, is_sync: bool) -> None:
    (sample,) = samples(demuxer.video(0, avc_frame(*nals, key=key)))
    assert sample.is_sync is is_sync


def test_nal_units_for_the_muxer_are_removed(demuxer: Demuxer) -> None:
    """AUD, parameter sets, ends and filler go; SEI, SPS extension and subset SPS stay."""
    kept = (b"\x6d\x80", b"\x6f\x42\x00\x1f\x80", RECOVERY_POINT_SEI, IDR)
    end, stream_end, filler = b"\x0a", b"\x0b", b"\x0c\xff\xff\x80"
    frame = avc_frame(AUD, SPS, kept[0], PPS, kept[1], b"", filler, *kept[2:], end, stream_end)
    (sample,) = demuxer.video(0, frame)
    assert isinstance(sample, Sample)
    assert sample.data == lengths(*kept)


def test_frames_without_ballast_are_one_slice_of_the_payload(demuxer: Demuxer) -> None:
    body = lengths(RECOVERY_POINT_SEI, P_SLICE, P_SLICE)
    (sample,) = samples(demuxer.video(0, raw_avc_frame(body)))
    assert sample.data == body


@pytest.mark.parametrize("size", [1, 2, 4])
def test_length_sizes(size: int) -> None:
    demuxer = Demuxer()
    demuxer.video(0, avc_header(SPS, PPS, length_size=size))
    (sample,) = samples(demuxer.video(0, avc_frame(AUD, IDR, size=size)))
    assert sample.data == lengths(IDR)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_missing_sequence_header_with_sets_in_band(size: int) -> None:
    demuxer = Demuxer()
    items = demuxer.video(0, avc_frame(SPS, PPS, IDR, key=True, size=size))
    assert items == [track_of(SPS, PPS), Sample(1, 0, 0, 0, True, lengths(IDR))]
    (sample,) = samples(demuxer.video(40, avc_frame(P_SLICE, size=size)))
    assert sample.data == lengths(P_SLICE)


def test_parameter_sets_in_a_message_of_their_own() -> None:
    demuxer = Demuxer()
    items = feed_video(demuxer, avc_frame(SPS), avc_frame(PPS), avc_frame(IDR, key=True))
    assert [type(item) for item in items] == [Track, Sample]


@pytest.mark.parametrize("has_header", [True, False])
def test_annex_b_in_flv(has_header: bool) -> None:
    """Hardware encoders that pass their chip's byte stream on."""
    demuxer = Demuxer()
    items: list[Item] = []
    if has_header:
        items += demuxer.video(0, b"\x17\x00\x00\x00\x00" + join_annex_b([SPS, PPS]))
    for nals in ([AUD, SPS, PPS, IDR], [P_SLICE]):
        items += demuxer.video(0, raw_avc_frame(join_annex_b(nals)))
    assert tracks(items) == [track_of(SPS, PPS)]
    assert [sample.data for sample in samples(items)] == [lengths(IDR), lengths(P_SLICE)]
    assert demuxer.frames_dropped == 0


def test_length_that_looks_like_a_start_code(demuxer: Demuxer) -> None:
    """A first NAL unit of 256 to 511 bytes has the length 00 00 01 xx."""
    long_slice = b"\x41\x9a" + b"\x55" * 300
    (sample,) = samples(demuxer.video(0, avc_frame(long_slice)))
    assert sample.data == lengths(long_slice)


def test_repeated_sequence_header_says_nothing(demuxer: Demuxer) -> None:
    items = feed_video(demuxer, avc_header(), avc_frame(IDR, key=True), avc_header())
    assert tracks(items) == []


def test_new_sequence_header_waits_for_the_idr(demuxer: Demuxer) -> None:
    """Pictures between it and the IDR still need the old sets."""
    items = feed_video(
        demuxer,
        avc_frame(IDR, key=True),
        avc_header(LARGER_SPS, PPS),
        avc_frame(P_SLICE),
        avc_frame(IDR, key=True),
        avc_frame(P_SLICE),
    )
    assert [type(item) for item in items] == [Sample, Sample, Track, Sample, Sample]
    assert items[2] == track_of(LARGER_SPS, PPS)


def test_sequence_header_taken_back_before_the_idr(demuxer: Demuxer) -> None:
    items = feed_video(demuxer, avc_header(LARGER_SPS, PPS), avc_header(), avc_frame(IDR, key=True))
    assert tracks(items) == []


def test_change_in_band_comes_before_its_sample(demuxer: Demuxer) -> None:
    items = feed_video(demuxer, avc_frame(IDR, key=True), avc_frame(LARGER_SPS, PPS, IDR, key=True))
    assert [type(item) for item in items] == [Sample, Track, Sample]
    assert items[1] == track_of(LARGER_SPS, PPS)


def test_same_sets_in_band_and_in_header_do_not_flap(demuxer: Demuxer) -> None:
    for _ in range(5):
        items = feed_video(demuxer, avc_header(), avc_frame(AUD, SPS, PPS, IDR, key=True))
        assert tracks(items) == []


def test_second_pps_in_band_is_added_once(demuxer: Demuxer) -> None:
    second = pps(1)
    gop = (avc_header(), avc_frame(SPS, PPS, second, IDR, key=True), avc_frame(P_SLICE))
    assert tracks(feed_video(demuxer, *gop)) == [track_of(SPS, PPS, second)]
    for _ in range(3):
        assert tracks(feed_video(demuxer, *gop)) == []
        assert tracks(feed_video(demuxer, avc_frame(second, IDR, key=True))) == []


def test_other_vui_in_band_than_in_header_does_not_flap(demuxer: Demuxer) -> None:
    other = SpsFields().nal()
    gop = (avc_header(), avc_frame(other, PPS, IDR, key=True))
    assert tracks(feed_video(demuxer, *gop)) == [track_of(other, PPS)]
    for _ in range(3):
        assert tracks(feed_video(demuxer, *gop)) == []


def test_repeated_header_does_not_undo_sets_in_band(demuxer: Demuxer) -> None:
    """Sets that came in band once stay in force, however often the old header is repeated."""
    feed_video(demuxer, avc_frame(LARGER_SPS, PPS, IDR, key=True))
    for _ in range(3):
        assert tracks(feed_video(demuxer, avc_header(), avc_frame(IDR, key=True))) == []


def test_new_sps_drops_picture_sets_of_the_old(demuxer: Demuxer) -> None:
    """7.4.1.2.1: a PPS is read with the content of its SPS."""
    feed_video(demuxer, avc_frame(pps(1), IDR, key=True))
    items = feed_video(demuxer, avc_frame(LARGER_SPS, PPS, IDR, key=True))
    assert tracks(items) == [track_of(LARGER_SPS, PPS)]


def test_sets_in_an_inter_frame_wait_for_the_idr(demuxer: Demuxer) -> None:
    items = feed_video(demuxer, avc_frame(LARGER_SPS, PPS, P_SLICE), avc_frame(IDR, key=True))
    assert [type(item) for item in items] == [Sample, Track, Sample]


@pytest.mark.parametrize("sps", [b"\x67\x4d", SpsFields(sps_id=5).nal()[:6]])
def test_broken_sets_in_band_change_nothing(demuxer: Demuxer, sps: bytes) -> None:
    items = feed_video(demuxer, avc_frame(sps, PPS, IDR, key=True))
    assert tracks(items) == []
    assert codes(items) == ["broken_config"]
    assert [sample.data for sample in samples(items)] == [lengths(IDR)]


@pytest.mark.parametrize(
    "record",
    [
        avc_record(SPS, PPS)[:9],
        b"\x02" + avc_record(SPS, PPS)[1:],
        b"\x01" * 70_000,
        b"\x00\x00\x01",
    ],
)
def test_broken_sequence_header_changes_nothing(demuxer: Demuxer, record: bytes) -> None:
    items = feed_video(demuxer, b"\x17\x00\x00\x00\x00" + record, avc_frame(IDR, key=True))
    assert codes(items) == ["broken_config"]
    assert len(samples(items)) == 1
    assert tracks(feed_video(demuxer, avc_header(LARGER_SPS, PPS), avc_frame(IDR))) != []


def test_header_without_pps_waits_for_it() -> None:
    demuxer = Demuxer()
    assert demuxer.video(0, avc_header(SPS)) == []
    assert tracks(demuxer.video(0, avc_frame(PPS, IDR, key=True))) == [track_of(SPS, PPS)]


def test_frames_before_the_config_are_noted_once() -> None:
    demuxer = Demuxer()
    items = feed_video(demuxer, *[avc_frame(P_SLICE)] * 250)
    assert codes(items) == ["missing_config"]
    assert samples(items) == []
    assert demuxer.frames_dropped == 250
    assert len(feed_video(demuxer, avc_header(), avc_frame(IDR, key=True))) == 2


def test_broken_lengths_are_noted_every_hundredth_time(demuxer: Demuxer) -> None:
    broken = raw_avc_frame(b"\x00\x00\x10\x00\x41")
    items = feed_video(demuxer, *[broken] * 201)
    assert codes(items) == ["broken_frame"] * 3
    assert demuxer.frames_dropped == 201
    assert len(samples(demuxer.video(0, avc_frame(P_SLICE)))) == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x17",
        b"\x17\x01",
        b"\x17\x00\x00\x00\x00",
        b"\x27\x01\x00\x00\x00",
        b"\x17\x02\x00\x00\x00",  # AVC end of sequence
        b"\x57\x00",  # command frame: start of seeking
        b"\x57",
        avc_frame(USER_DATA_SEI),
        avc_frame(AUD),
        avc_frame(b""),
    ],
)
def test_messages_without_a_picture(demuxer: Demuxer, payload: bytes) -> None:
    assert demuxer.video(0, payload) == []
    assert demuxer.frames_dropped == 0


def test_unknown_avc_packet_type(demuxer: Demuxer) -> None:
    assert codes(demuxer.video(0, b"\x27\x09\x00\x00\x00\x00")) == ["broken_frame"]
