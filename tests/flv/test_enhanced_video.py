"""HEVC, AV1, VP9 and multitrack through the demuxer, with frames of real encoders."""

from __future__ import annotations

import pytest

from hlsorigin.codecs.av1 import Av1Config
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.h265 import HevcConfig
from hlsorigin.codecs.nal import join_annex_b, split_length_prefixed
from hlsorigin.codecs.vp9 import Vp9Config
from hlsorigin.flv.demuxer import VIDEO_TRACK_ID, Demuxer, Item, video_track_id
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track, VideoConfig
from tests.codecs.media import fixture
from tests.flv.enhanced_payloads import (
    END,
    FRAMES,
    FRAMES_X,
    INTER,
    MANY,
    MANY_CODECS,
    METADATA,
    MPEG2_TS,
    MULTI_VIDEO,
    START,
    ex_video,
    hevc_body,
    hevc_units,
    nano,
    one_track,
    real_video,
    sized,
)
from tests.flv.payloads import (
    IDR,
    P_SLICE,
    PPS,
    SPS,
    avc_frame,
    avc_header,
    avc_record,
    codes,
    feed_video,
    lengths,
    samples,
    tracks,
)

HEVC, AV1, VP9, AVC = b"hvc1", b"av01", b"vp09", b"avc1"
CTS_ZERO = bytes(3)
#: RASL pictures of each open GOP of the fixture.
RASL_OF_GOP = 3
CONFIGS = {HEVC: HevcConfig, AV1: Av1Config, VP9: Vp9Config}


def hevc_frame(unit: list[bytes], cts_ms: int = 0) -> bytes:
    return ex_video(FRAMES, HEVC, cts_ms.to_bytes(3, "big", signed=True) + hevc_body(unit))


def video_config(track: Track) -> VideoConfig:
    assert isinstance(track.config, VideoConfig)
    return track.config


def nal_types(sample: Sample) -> list[int]:
    return [nal[0] >> 1 & 0x3F for nal in split_length_prefixed(sample.data, 4)]


@pytest.mark.parametrize("four_cc", [HEVC, AV1, VP9])
def test_real_frames_come_out_as_they_were(four_cc: bytes) -> None:
    record, frames = real_video(four_cc)
    head = CTS_ZERO if four_cc == HEVC else b""
    items = feed_video(
        Demuxer(),
        ex_video(START, four_cc, record),
        ex_video(FRAMES, four_cc, head + frames[0]),
        ex_video(FRAMES, four_cc, head + frames[1], flags=INTER),
        ex_video(END, four_cc),
    )
    track, first, second = items
    assert isinstance(track, Track) and isinstance(first, Sample) and isinstance(second, Sample)
    assert isinstance(track.config, CONFIGS[four_cc])
    config = video_config(track)
    assert (track.track_id, config.width, config.height) == (1, 322, 182)
    assert config.serialize_record() == record or four_cc == HEVC
    assert [first.is_sync, second.is_sync] == [True, False]
    assert (first.dts, first.pts, second.dts) == (3600, 3600, 7200)
    if four_cc != HEVC:
        assert [first.data, second.data] == frames


@pytest.mark.parametrize("four_cc", [HEVC, AV1, VP9])
def test_the_frame_type_of_the_header_is_not_believed(four_cc: bytes) -> None:
    record, frames = real_video(four_cc)
    head = CTS_ZERO if four_cc == HEVC else b""
    found = samples(
        feed_video(
            Demuxer(),
            ex_video(START, four_cc, record),
            ex_video(FRAMES, four_cc, head + frames[0], flags=INTER),
            ex_video(FRAMES, four_cc, head + frames[1]),
        )
    )
    assert [sample.is_sync for sample in found] == [True, False]


def test_composition_offsets() -> None:
    """SI24 for CodedFrames of HEVC; none for CodedFramesX and for AV1 (rule 161)."""
    record, frames = real_video(HEVC)
    demuxer = Demuxer()
    demuxer.video(0, ex_video(START, HEVC, record))
    early = samples(demuxer.video(100, ex_video(FRAMES, HEVC, b"\xff\xff\xd8" + frames[0])))
    plain = samples(demuxer.video(140, ex_video(FRAMES_X, HEVC, frames[1])))
    assert [(s.dts, s.pts) for s in early + plain] == [(9000, 5400), (12600, 12600)]


@pytest.mark.parametrize("offset_ns, ticks", [(0, 0), (5555, 0), (5556, 1), (999_999, 90)])
def test_nanoseconds_move_the_presentation_alone(offset_ns: int, ticks: int) -> None:
    """Rule 165; 90 kHz ticks of 11 111 ns, rounded."""
    record, frames = real_video(HEVC)
    demuxer = Demuxer()
    demuxer.video(0, ex_video(START, HEVC, record))
    payload = nano(offset_ns, FRAMES) + HEVC + b"\x00\x00\x28" + frames[0]
    (sample,) = samples(demuxer.video(10, payload))
    assert (sample.dts, sample.pts) == (900, 900 + 3600 + ticks)


def test_hevc_in_band_only() -> None:
    """Delimiters and parameter sets leave the samples, RASL pictures of a later CRA stay."""
    units = hevc_units()
    items = feed_video(Demuxer(), *(hevc_frame(unit) for unit in units))
    (track,) = tracks(items)
    assert isinstance(track.config, HevcConfig)
    assert (track.config.width, track.config.height) == (160, 90)
    assert track.config.vps + track.config.sps + track.config.pps == tuple(units[0][1:4])
    found = samples(items)
    # ffprobe shows these as keyframes: IDR, CRA, CRA.
    assert [i for i, sample in enumerate(found) if sample.is_sync] == [0, 5, 13]
    assert len(found) == 24
    assert [nal_types(sample) for sample in found[4:8]] == [[0], [21], [9], [8]]


@pytest.mark.parametrize("form", ["annex_b_in_band", "annex_b_header", "legacy"])
def test_hevc_however_it_is_sent(form: str) -> None:
    """Start codes instead of lengths; legacy id 12 with the header of AVC (CDN-Union)."""
    units = hevc_units()
    expected = samples(feed_video(Demuxer(), *(hevc_frame(unit) for unit in units)))
    match form:
        case "annex_b_in_band":
            payloads = [ex_video(FRAMES_X, HEVC, join_annex_b(unit)) for unit in units]
        case "annex_b_header":
            payloads = [ex_video(FRAMES_X, HEVC, join_annex_b(unit)) for unit in units]
            payloads.insert(0, ex_video(START, HEVC, join_annex_b(units[0][1:4])))
        case _:
            payloads = [b"\x2c\x01\x00\x00\x00" + hevc_body(unit) for unit in units]
    found = samples(feed_video(Demuxer(), *payloads))
    assert [sample.data for sample in found] == [sample.data for sample in expected]
    assert [sample.is_sync for sample in found] == [sample.is_sync for sample in expected]


def test_legacy_hevc_with_its_record() -> None:
    record, frames = real_video(HEVC)
    track, sample = feed_video(
        Demuxer(),
        b"\x1c\x00\x00\x00\x00" + record,
        b"\x1c\x01\x00\x00\x50" + frames[0],
        b"\x1c\x02\x00\x00\x00",
    )
    assert isinstance(track, Track) and isinstance(sample, Sample)
    assert isinstance(track.config, HevcConfig)
    assert sample.is_sync
    assert sample.pts - sample.dts == 80 * 90


def test_publish_that_begins_at_an_open_gop() -> None:
    """RASL pictures of the first CRA refer to what was never sent (H.265 8.1.3)."""
    units = hevc_units()[5:]
    demuxer = Demuxer()
    found = samples(feed_video(demuxer, *(hevc_frame(unit) for unit in units)))
    assert len(found) == len(units) - RASL_OF_GOP
    assert found[0].is_sync
    assert not any({8, 9} & {*nal_types(sample)} for sample in found[:5])
    assert [nal_types(sample)[0] for sample in found[5:9]] == [21, 9, 8, 8]
    assert demuxer.frames_dropped == RASL_OF_GOP


def test_parameter_sets_of_a_second_view_are_not_the_track_s() -> None:
    """MV-HEVC: nuh_layer_id 1 (H.265 7.4.2.2) with the same ids."""
    unit = hevc_units()[0]
    second = [bytes((nal[0], nal[1] | 1 << 3)) + nal[2:-1] for nal in unit[1:4]]
    items = feed_video(Demuxer(), hevc_frame(unit), hevc_frame(unit[:4] + second + unit[4:]))
    assert [type(item).__name__ for item in items] == ["Track", "Sample", "Sample"]


def test_rasl_behind_bla_is_dropped() -> None:
    """BLA says that the pictures before it are others (H.265 3.16)."""
    units = hevc_units()
    units[5] = [
        bytes((16 << 1, nal[1])) + nal[2:] if nal[0] == 21 << 1 else nal for nal in units[5]
    ]
    found = samples(feed_video(Demuxer(), *(hevc_frame(unit) for unit in units)))
    assert len(found) == 24 - RASL_OF_GOP
    assert found[5].is_sync and nal_types(found[5]) == [16]


def test_hevc_parameter_sets_change_at_the_next_sync_sample() -> None:
    record, frames = real_video(HEVC)
    units = hevc_units()
    items = feed_video(
        Demuxer(),
        ex_video(START, HEVC, record),
        ex_video(FRAMES_X, HEVC, frames[0]),
        ex_video(START, HEVC, join_annex_b(units[0][1:4])),
        ex_video(FRAMES_X, HEVC, frames[1]),
        hevc_frame(units[0]),
    )
    kinds = [type(item).__name__ for item in items]
    assert kinds == ["Track", "Sample", "Sample", "Track", "Sample"]
    assert [video_config(track).width for track in tracks(items)] == [322, 160]


def test_av1_loses_its_temporal_delimiters() -> None:
    """AV1-ISOBMFF 2.4; ffmpeg leaves them in and sends an empty SequenceStart first."""
    record, frames = real_video(AV1)
    items = feed_video(
        Demuxer(),
        ex_video(START, AV1),
        ex_video(START, AV1, record[:4]),
        ex_video(FRAMES, AV1, b"\x12\x00" + frames[0]),
        ex_video(FRAMES, AV1, b"\x12\x00" + frames[1], flags=INTER),
        ex_video(FRAMES, AV1, b"\x12\x00", flags=INTER),
    )
    assert [type(item).__name__ for item in items] == ["Track", "Sample", "Sample"]
    assert [sample.data for sample in samples(items)] == frames
    (track,) = tracks(items)
    assert video_config(track).codec_string.startswith("av01.0.")


def test_legacy_av1() -> None:
    """CodecID 13 with the header of AVC (Tencent)."""
    record, frames = real_video(AV1)
    head = b"\x1d\x00\x00\x00\x00", b"\x1d\x01\x00\x00\x00"
    items = feed_video(Demuxer(), head[0] + record, head[1] + frames[0])
    assert [type(item).__name__ for item in items] == ["Track", "Sample"]


def test_av1_low_overhead_stream() -> None:
    """Temporal units of SVT-AV1 as they stand in a .obu file."""
    stream = fixture("av1_svt.obu")
    units = [b"\x12\x00" + unit for unit in stream.split(b"\x12\x00")[1:]]
    items = feed_video(Demuxer(), *(ex_video(FRAMES, AV1, unit) for unit in units))
    assert len(tracks(items)) == 1
    assert [sample.is_sync for sample in samples(items)] == [True, *[False] * (len(units) - 1)]
    assert b"".join(sample.data for sample in samples(items)) == stream.replace(b"\x12\x00", b"")


def test_vp9_waits_for_its_keyframe() -> None:
    record, frames = real_video(VP9)
    demuxer = Demuxer()
    items = feed_video(
        demuxer,
        ex_video(START, VP9, record),
        ex_video(FRAMES, VP9, frames[1]),
        ex_video(FRAMES, VP9, frames[0]),
        ex_video(FRAMES, VP9, frames[0]),
    )
    assert [type(item).__name__ for item in items] == ["Note", "Track", "Sample", "Sample"]
    (track,) = tracks(items)
    assert isinstance(track.config, Vp9Config)
    assert track.config.video_range == "HLG"
    assert demuxer.frames_dropped == 1


def test_enhanced_h264_is_the_track_of_old() -> None:
    demuxer = Demuxer()
    body = lengths(IDR)
    items = feed_video(
        demuxer,
        avc_header(),
        ex_video(START, AVC, avc_record(SPS, PPS)),
        ex_video(FRAMES, AVC, CTS_ZERO + body),
        ex_video(FRAMES_X, AVC, body),
        avc_frame(IDR, key=True),
    )
    assert [type(item).__name__ for item in items] == ["Track"] + ["Sample"] * 3
    assert {sample.data for sample in samples(items)} == {body}
    assert {sample.track_id for sample in samples(items)} == {VIDEO_TRACK_ID}


def test_codec_changes_at_a_keyframe() -> None:
    record, frames = real_video(AV1)
    demuxer = Demuxer()
    items = feed_video(
        demuxer,
        avc_header(),
        avc_frame(IDR, key=True),
        ex_video(START, AV1, record),
        ex_video(FRAMES, AV1, frames[1], flags=INTER),
        ex_video(FRAMES, AV1, frames[0]),
        avc_header(),
        avc_frame(P_SLICE),
        avc_frame(IDR, key=True),
    )
    shown = [type(item.config) if isinstance(item, Track) else type(item) for item in items]
    assert shown == [AvcConfig, Sample, Note, Av1Config, Sample, Note, AvcConfig, Sample]
    assert codes(items) == ["missing_keyframe"] * 2
    assert demuxer.frames_dropped == 2


def test_many_tracks_of_one_message() -> None:
    """All are processed (E-RTMP v2, "Payload Parsing"); ids as the demuxer promises."""
    record, frames = real_video(AV1)
    demuxer = Demuxer()
    head = bytes((0x90 | MULTI_VIDEO, MANY | START)) + AV1
    items = demuxer.video(0, head + sized(0, record) + sized(2, record))
    head = bytes((0x90 | MULTI_VIDEO, MANY | FRAMES)) + AV1
    items += demuxer.video(0, head + sized(0, frames[0]) + sized(2, frames[0]))
    head = bytes((0xA0 | MULTI_VIDEO, MANY | FRAMES)) + AV1
    items += demuxer.video(40, head + sized(2, frames[1]) + sized(0, frames[1]))
    assert [track.track_id for track in tracks(items)] == [1, 5]
    assert [(s.track_id, s.dts, s.is_sync) for s in samples(items)] == [
        (1, 0, True), (5, 0, True), (5, 3600, False), (1, 3600, False)
    ]  # fmt: skip
    assert {sample.data for sample in samples(items)} == {*frames}


def test_many_tracks_many_codecs_with_one_that_fails() -> None:
    """An unknown FourCC fails its track, the others and the session go on (rule 169)."""
    av1_record, av1_frames = real_video(AV1)
    hevc_record, hevc_frames = real_video(HEVC)
    demuxer = Demuxer()
    items: list[Item] = []
    for packet, bodies in (
        (START, (hevc_record, b"\x00", av1_record)),
        (FRAMES, (CTS_ZERO + hevc_frames[0], b"\x00", av1_frames[0])),
    ):
        head = bytes((0x90 | MULTI_VIDEO, MANY_CODECS | packet))
        coded = zip((HEVC, b"vvc1", AV1), bodies, strict=True)
        items += demuxer.video(
            0, head + b"".join(cc + sized(n, body) for n, (cc, body) in enumerate(coded))
        )
    assert [track.track_id for track in tracks(items)] == [video_track_id(0), video_track_id(2)]
    assert [sample.track_id for sample in samples(items)] == [1, 5]
    (note,) = [item for item in items if isinstance(item, Note)]
    assert note.code == "unsupported_codec"
    assert note.message.startswith("vvc1 over enhanced RTMP; send H.264, HEVC")


def test_obs_ladder() -> None:
    """OBS: track 0 as ever, the others OneTrack; sets of one track don't touch another's."""
    demuxer = Demuxer()
    record = avc_record(SPS, PPS)
    items = demuxer.video(0, avc_header())
    items += demuxer.video(0, one_track(START, AVC, 1, record))
    items += demuxer.video(0, avc_frame(IDR, key=True))
    items += demuxer.video(0, one_track(FRAMES_X, AVC, 1, lengths(IDR)))
    items += demuxer.video(
        40, one_track(FRAMES, AVC, 1, b"\0\0\x28" + lengths(P_SLICE), flags=INTER)
    )
    assert [track.track_id for track in tracks(items)] == [1, 3]
    assert [(s.track_id, s.pts, s.is_sync) for s in samples(items)] == [
        (1, 0, True), (3, 0, True), (3, 7200, False)
    ]  # fmt: skip


def test_tracks_are_bounded() -> None:
    record, _ = real_video(AV1)
    demuxer = Demuxer()
    items = [
        item
        for number in range(256)
        for item in demuxer.video(0, one_track(START, AV1, number, record))
    ]
    assert [track.track_id for track in tracks(items)] == [1 + 2 * k for k in range(16)]
    assert [item.message for item in items if isinstance(item, Note)] == [
        "more than 16 video tracks; send H.264, HEVC, AV1 or VP9"
    ]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (ex_video(MPEG2_TS, AV1, b"\x80\x04"), "unsupported_packet"),
        (ex_video(9, HEVC), "unsupported_packet"),
        (b"\x96\x31avc1\x00", "broken_frame"),
        (b"\x96\x11av01\x00\x00\x00\x09", "broken_frame"),
        (ex_video(START, HEVC, b"\x01" + bytes(30)), "broken_config"),
        (ex_video(START, AV1, b"\x81\x00\x00\x00\x0a\x0a"), "broken_config"),
        (ex_video(START, VP9, b"\x00"), "broken_config"),
        (ex_video(FRAMES, VP9, b"\x00"), "broken_frame"),
        (ex_video(FRAMES_X, HEVC, b"\x00\x00\x00\x09\x26"), "broken_frame"),
        (ex_video(FRAMES, b"vp08", b"\x00"), "unsupported_codec"),
    ],
)
def test_what_fails_fails_in_a_controlled_way(payload: bytes, code: str) -> None:
    demuxer = Demuxer()
    items = [item for _ in range(50) for item in demuxer.video(0, payload)]
    assert codes(items) == [code]
    assert len(items) == 1
    assert codes(demuxer.video(0, avc_header())) == []


@pytest.mark.parametrize(
    "payload", [b"\xd1\x00", b"\xd0\x01", ex_video(METADATA, AV1, b"\x02\x00\x09colorInfo"),
                ex_video(METADATA, b"vvc1"), ex_video(FRAMES, HEVC, b"\x00"), ex_video(FRAMES, AV1)]
)  # fmt: skip
def test_what_holds_no_picture_is_passed_over(payload: bytes) -> None:
    demuxer = Demuxer()
    assert demuxer.video(0, payload) == []
    assert demuxer.frames_dropped == 0
