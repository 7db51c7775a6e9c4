"""The test reader itself: each rule that it claims to check is broken once, and what ffmpeg
writes is read as ffmpeg's own sample tables have it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from tests.support.elementary import FFMPEG, ElementaryTrack, clip, clip_path
from tests.support.mp4_boxes import read_boxes
from tests.support.mp4_reader import Mp4Checker, Mp4Error, read_fragments, read_init

Change = Callable[[bytearray], None]

#: Main profile, level 3.0; the reader looks at the first four bytes only.
SPS, PPS = bytes.fromhex("674d401e96540501ed80"), bytes.fromhex("68ee3c80")
IDR, SLICE = b"\x65\x88\x84\x11", b"\x41\x9a\x24\x6c"
VIDEO, AUDIO = 1, 2
DTS, STEP, FRAME = 900_000, 3600, 1024
_MATRIX = bytes.fromhex("00010000" + "00" * 12 + "00010000" + "00" * 12 + "40000000")


def box(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + kind.encode() + body


def u32(*values: int) -> bytes:
    return b"".join((value & 0xFFFFFFFF).to_bytes(4, "big") for value in values)


def nal(unit: bytes) -> bytes:
    return u32(len(unit)) + unit


def _trak(track_id: int, handler: str, timescale: int, entry: bytes) -> bytes:
    is_video = handler == "vide"
    volume = bytes(4) if is_video else b"\x01\x00\x00\x00"
    size = u32(320 << 16, 180 << 16) if is_video else bytes(8)
    media_header = box("vmhd", u32(1), bytes(8)) if is_video else box("smhd", bytes(8))
    empty = box("stts", bytes(8)), box("stsc", bytes(8)), box("stsz", bytes(12))
    stbl = box("stbl", box("stsd", u32(0, 1), entry), *empty, box("stco", bytes(8)))
    dinf = box("dinf", box("dref", u32(0, 1), box("url ", u32(1))))
    mdhd = box("mdhd", u32(0, 0, 0, timescale, 0), b"\x55\xc4\x00\x00")
    hdlr = box("hdlr", bytes(8), handler.encode(), bytes(13))
    mdia = box("mdia", mdhd, hdlr, box("minf", media_header, dinf, stbl))
    tkhd = box("tkhd", u32(3, 0, 0, track_id, 0, 0), bytes(12), volume, _MATRIX, size)
    return box("trak", tkhd, mdia)


def _avc_entry() -> bytes:
    fixed = bytes(7) + b"\x01" + bytes(16) + b"\x01\x40\x00\xb4" + b"\x00\x48\x00\x00" * 2
    sets = b"\xe1" + len(SPS).to_bytes(2, "big") + SPS + b"\x01\x00\x04" + PPS
    record = b"\x01" + SPS[1:4] + b"\xff" + sets
    rest = bytes(4) + b"\x00\x01" + bytes(32) + b"\x00\x18\xff\xff"
    return box("avc1", fixed, rest, box("avcC", record))


def _aac_entry() -> bytes:
    specific = b"\x05\x02\x11\x90"
    decoder = b"\x04\x11\x40\x15" + bytes(11) + specific
    stream = b"\x03\x19\x00\x01\x00" + decoder + b"\x06\x01\x02"
    fixed = bytes(7) + b"\x01" + bytes(8) + b"\x00\x02\x00\x10" + bytes(4) + u32(48000 << 16)
    return box("mp4a", fixed, box("esds", bytes(4), stream))


def good_init() -> bytes:
    mvhd = box("mvhd", u32(0, 0, 0, 1000, 0, 0x10000), b"\x01\x00", bytes(10), _MATRIX, bytes(24),
               u32(3))  # fmt: skip
    traks = _trak(VIDEO, "vide", 90_000, _avc_entry()), _trak(AUDIO, "soun", 48_000, _aac_entry())
    trexes = [box("trex", u32(0, track_id, 1, 0, 0, 0)) for track_id in (VIDEO, AUDIO)]
    return box("ftyp", b"iso6", u32(1), b"iso6mp41") + box(
        "moov", mvhd, *traks, box("mvex", *trexes)
    )


def good_segment(number: int = 7, time: int = DTS, audio_time: int = 480_000) -> bytes:
    """styp, prft, emsg, and a fragment of three pictures (the second is shown last) and a frame."""
    pictures, frame = [nal(IDR), nal(SLICE), nal(SLICE)], b"\x21\x10\x04"
    styp = box("styp", b"msdh", u32(0), b"msdhmsix")
    prft = box("prft", u32(1 << 24, VIDEO, 0xEC000000, 0), time.to_bytes(8, "big"))
    fields = u32(1 << 24, 90_000) + time.to_bytes(8, "big") + u32(0xFFFFFFFF, 5)
    emsg = box("emsg", fields, b"https://aomedia.org/emsg/ID3\0", b"\0", b"ID3")
    moof_bytes = len(_moof(number, time, audio_time, 0, pictures, frame))
    moof = _moof(number, time, audio_time, moof_bytes + 8, pictures, frame)
    return styp + prft + emsg + moof + box("mdat", *pictures, frame)


def _moof(
    number: int, time: int, audio_time: int, at: int, pictures: list[bytes], frame: bytes
) -> bytes:
    samples = zip(pictures, (0, STEP, -STEP), strict=True)
    rows = b"".join(u32(STEP, len(data), offset) for data, offset in samples)
    run = u32(0x01000B05, len(pictures), at, 0x02000000) + rows
    video = box(
        "traf", box("tfhd", u32(0x020020, VIDEO, 0x01010000)), _tfdt(time), box("trun", run)
    )
    behind = at + sum(map(len, pictures))
    tfhd = box("tfhd", u32(0x020008, AUDIO, FRAME))
    audio_run = box("trun", u32(0x000201, 1, behind, len(frame)))
    audio = box("traf", tfhd, _tfdt(audio_time), audio_run)
    return box("moof", box("mfhd", u32(0, number)), video, audio)


def _tfdt(time: int) -> bytes:
    return box("tfdt", u32(1 << 24), time.to_bytes(8, "big"))


def put(kind: str, offset: int, value: int, nth: int = 0) -> Change:
    """Overwrite a byte at an offset from the type of the nth box of a kind."""

    def change(octets: bytearray) -> None:
        at = -1
        for _ in range(nth + 1):
            at = octets.index(kind.encode(), at + 1)
        assert octets[at + offset] != value
        octets[at + offset] = value

    return change


def replace(old: bytes, new: bytes) -> Change:
    def change(octets: bytearray) -> None:
        assert old in octets
        octets[:] = octets.replace(old, new)

    return change


def append(more: bytes) -> Change:
    return lambda octets: octets.extend(more)


def truncate(octets: bytearray) -> None:
    del octets[-1]


def no_styp_brand(octets: bytearray) -> None:
    octets[:] = octets.replace(b"msdh", b"isom").replace(b"msix", b"iso5")


def drop(kind: str) -> Change:
    """Take a box of the file itself out."""

    def change(octets: bytearray) -> None:
        found = next(item for item in read_boxes(bytes(octets)) if item.type == kind)
        del octets[found.start : found.end]

    return change


def swap_first(octets: bytearray) -> None:
    first, second, *_ = read_boxes(bytes(octets))
    octets[: second.end] = octets[second.start : second.end] + octets[: first.end]


def test_good_data_is_read() -> None:
    checker = Mp4Checker()
    init = read_init(good_init())
    assert checker.feed(good_init()) == init
    assert init.brands == {"iso6", "mp41"}
    video, audio = init.tracks[VIDEO], init.tracks[AUDIO]
    assert (video.codec, video.handler, video.timescale, video.language) == (
        "avc1", "vide", 90_000, "und"
    )  # fmt: skip
    assert (video.width, video.height, video.entry.nal_length_bytes) == (320, 180, 4)
    assert (audio.codec, audio.channel_count, audio.sample_rate) == ("mp4a", 2, 48_000)
    assert SPS in video.configs["avcC"]
    segment = read_fragments(good_segment(), init)
    (fragment,) = segment.fragments
    assert (fragment.sequence_number, fragment.decode_times) == (7, {VIDEO: DTS, AUDIO: 480_000})
    assert fragment.byte_range[1] == len(good_segment())
    samples = fragment.tracks[VIDEO]
    assert [(s.dts - DTS, s.pts - DTS, s.duration, s.is_sync) for s in samples] == [
        (0, 0, STEP, True), (STEP, 2 * STEP, STEP, False), (2 * STEP, STEP, STEP, False)
    ]  # fmt: skip
    assert [s.data for s in samples] == [nal(IDR), nal(SLICE), nal(SLICE)]
    assert [(s.dts, s.duration, s.data) for s in fragment.tracks[AUDIO]] == [
        (480_000, FRAME, b"\x21\x10\x04")
    ]
    (emsg,), (prft,) = segment.emsgs, segment.prfts
    assert (emsg.scheme_id_uri, emsg.presentation_time, emsg.event_id, emsg.payload) == (
        "https://aomedia.org/emsg/ID3", DTS, 5, b"ID3"
    )  # fmt: skip
    assert (prft.track_id, prft.ntp >> 32, prft.media_time) == (VIDEO, 0xEC000000, DTS)
    checker.feed(good_segment())
    assert checker.samples[VIDEO][1].pts_s == Fraction(DTS + 2 * STEP, 90_000)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("67", swap_first),
        ("67", drop("moov")),
        ("67", replace(b"iso6", b"iso5")),
        ("67", append(box("free"))),
        ("67", append(box("mdat", b"x"))),
        ("68", put("mvhd", 23, 1)),
        ("68", put("mvhd", 103, 2)),
        ("68", put("tkhd", 7, 0)),
        ("68", put("tkhd", 27, 1)),
        ("68", put("tkhd", 40, 1)),
        ("68", put("mdhd", 23, 1)),
        ("68", put("mdhd", 24, 0x80)),
        ("68", put("hdlr", 15, 0x20)),
        ("68", put("vmhd", 7, 0)),
        ("69", put("url ", 7, 0)),
        ("68", put("stts", 11, 1)),
        ("68", put("stsz", 15, 1)),
        ("68", put("stsd", 11, 2)),
        ("68", replace(b"mvex", b"udta")),
        ("68", put("trex", 11, 3, nth=1)),
        ("68", put("trex", 15, 2)),
        ("72", put("trex", 24, 0x10)),
        ("68", put("avc1", 31, 0)),
        ("68", put("avcC", 4, 0)),
        ("68", put("avcC", 8, 0x03)),
        ("68", replace(SPS, b"\x67\x64" + SPS[2:])),
        ("74", put("esds", 8, 4)),
        ("74", put("esds", 9, 0x18)),
        ("74", put("esds", 14, 0x6C)),
        ("74", put("esds", 15, 0x11)),
        ("74", replace(b"\x05\x02\x11\x90", b"\x05\x02\xf9\x90")),
        ("68", replace(b"\x05\x02\x11\x90", b"\x05\x02\x12\x10")),
        ("76", put("mdhd", 19, 0x81, nth=1)),
        ("76", replace(b"mp41", b"cmfc")),
        ("69", put("trak", -1, 0xFF)),
    ],
)
def test_broken_init_section(rule: str, change: Change) -> None:
    octets = bytearray(good_init())
    read_init(bytes(octets))
    change(octets)
    with pytest.raises(Mp4Error, match=rf"^{rule}:"):
        read_init(bytes(octets))


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("69", truncate),
        ("69", no_styp_brand),
        ("69", append(good_segment(8))),
        ("69", append(box("emsg", bytes(30)))),
        ("69", append(box("free"))),
        ("69", drop("mdat")),
        ("69", drop("moof")),
        ("69", put("prft", 11, 9)),
        ("69", put("prft", 20, 9)),
        ("69", put("emsg", 4, 2)),
        ("69", replace(b"tfdt", b"sdtp")),
        ("68", put("tfhd", 11, 9)),
        ("69", put("tfhd", 5, 0)),
        ("69", put("tfhd", 7, 0x21)),
        ("70", put("trun", 15, 0)),
        ("70", put("trun", 7, 4)),
        ("70", put("trun", 6, 0x0F)),
        ("70", put("trun", 19, 2, nth=1)),
        ("70", put("trun", 15, 0, nth=1)),
        ("71", put("tfdt", 4, 0)),
        ("71", replace(u32(STEP, 8), u32(0, 8))),
        ("72", put("trun", 17, 1)),
        ("72", put("trun", 16, 0x21)),
        ("72", put("tfhd", 13, 0)),
        ("73", replace(nal(SLICE), nal(b"\x41\x00\x00\x01"))),
        ("73", replace(nal(SLICE), nal(b"\x68\x9a\x24\x6c"))),
        ("73", replace(nal(SLICE), u32(3) + SLICE)),
        ("73", replace(nal(SLICE), b"\x00\x00\x00\x01" + SLICE)),
        ("73", replace(SLICE, b"\xc1" + SLICE[1:])),
        ("74", replace(b"\x21\x10\x04", b"\xff\xf1\x04")),
        ("75", put("trun", 4, 0)),
    ],
)
def test_broken_segment(rule: str, change: Change) -> None:
    init = read_init(good_init())
    octets = bytearray(good_segment())
    read_fragments(bytes(octets), init)
    change(octets)
    with pytest.raises(Mp4Error, match=rf"^{rule}:"):
        read_fragments(bytes(octets), init)


def test_rules_over_segments() -> None:
    checker = Mp4Checker()
    init, after, audio_after = good_init(), DTS + 3 * STEP, 480_000 + FRAME
    with pytest.raises(Mp4Error, match="^67: a segment before"):
        checker.feed(good_segment())
    checker.feed(init)
    checker.feed(good_segment())
    with pytest.raises(Mp4Error, match="^76: mfhd"):
        checker.feed(good_segment(7, after, audio_after))
    with pytest.raises(Mp4Error, match=r"^71: track 1: .* \(\+1\)"):
        checker.feed(good_segment(8, after + 1, audio_after))
    checker.feed(good_segment(9, after, audio_after))
    with pytest.raises(Mp4Error, match=r"^71: track 1: .* \(-10800\)"):
        checker.feed(good_segment(10, after, audio_after))
    checker.feed(good_segment(11, 5, 3), discontinuity=True)
    checker.feed(init)
    changed = init.replace(b"\x01\x40\x00\xb4", b"\x01\x44\x00\xb4")
    checker.feed(changed)
    with pytest.raises(Mp4Error, match="^77:"):
        checker.feed(good_segment(12, 5 + 3 * STEP, 3 + FRAME))
    checker.feed(good_segment(12, 5 + 3 * STEP, 3 + FRAME), discontinuity=True)
    assert len(checker.samples[VIDEO]) == 4 * 3


def test_gaps_may_be_let_pass_but_never_overlaps() -> None:
    checker = Mp4Checker(allows_gaps=True)
    checker.feed(good_init())
    checker.feed(good_segment())
    checker.feed(good_segment(8, DTS + 4 * STEP, 480_000 + FRAME))
    assert checker.gaps == {VIDEO: [STEP]}
    with pytest.raises(Mp4Error, match="^71:"):
        checker.feed(good_segment(9, DTS, 480_000 + 2 * FRAME))


def test_segment_starts_with_a_sync_sample() -> None:
    """72, where it is promised: a segment, an independent part."""
    slice_first = good_segment().replace(u32(0x02000000) + u32(STEP), u32(0x01010000) + u32(STEP))
    slice_first = slice_first.replace(IDR, b"\x41\x88\x84\x11")
    without_styp = slice_first[len(box("styp", bytes(16))) :]
    for data, independent, is_legal in (
        (slice_first, None, False),
        (slice_first, False, True),
        (without_styp, None, True),
        (without_styp, True, False),
    ):
        checker = Mp4Checker()
        checker.feed(good_init())
        if is_legal:
            checker.feed(data, independent=independent)
        else:
            with pytest.raises(Mp4Error, match="^72: track 1 does not start"):
                checker.feed(data, independent=independent)


def test_sync_sample_without_idr_picture() -> None:
    data = good_segment().replace(IDR, b"\x41\x88\x84\x11")
    checker = Mp4Checker()
    checker.feed(good_init())
    with pytest.raises(Mp4Error, match="^72: track 1: a sync sample"):
        checker.feed(data)
    tolerant = Mp4Checker(allows_open_gop=True)
    tolerant.feed(good_init())
    tolerant.feed(data)


@pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here")
@pytest.mark.parametrize(
    "name",
    ["h264", "hevc", "hevc_pq", "av1", "vp9", "aac", "opus", "opus_51", "flac", "ac3", "eac3",
     "mp3"],
)  # fmt: skip
def test_fragments_of_ffmpeg_agree_with_its_sample_tables(name: str, tmp_path: Path) -> None:
    """ffmpeg fragments the clip anew; times and bytes are those of the progressive file."""
    track, path = clip(name), tmp_path / "fragmented.mp4"
    flags = ("-movflags", "cmaf+delay_moov+frag_keyframe", "-frag_duration", "1000000")
    command = ["-i", clip_path(name), "-c", "copy", "-strict", "-2", *flags, path]
    subprocess.run([str(FFMPEG), "-v", "error", *map(str, command)], check=True, timeout=50)
    data = path.read_bytes()
    boxes = read_boxes(data)
    moov = next(item for item in boxes if item.type == "moov")
    end = next((item.start for item in boxes if item.type == "mfra"), len(data))
    checker = Mp4Checker(allows_edit_list=True)
    checker.feed(data[: moov.end])
    checker.feed(data[moov.end : end], independent=True)
    _assert_same(checker, track)


def _assert_same(checker: Mp4Checker, track: ElementaryTrack) -> None:
    (samples,) = checker.samples.values()
    assert [s.data for s in samples] == [s.data for s in track.samples]
    assert [s.is_sync for s in samples] == [s.is_sync for s in track.samples]
    # ffmpeg puts the start of the media at 0, in one file by the edit list, in the other so.
    starts = samples[0].pts_s, track.samples[0].pts_s
    relative = [s.pts_s - starts[0] for s in samples]
    assert relative == [s.pts_s - starts[1] for s in track.samples]
    durations = [s.duration_s for s in samples[:-1]]
    assert durations == [s.duration_s for s in track.samples[:-1]]
