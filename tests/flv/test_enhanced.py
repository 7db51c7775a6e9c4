"""Enhanced headers byte by byte, after E-RTMP v2 (spec.md 160 to 166)."""

from __future__ import annotations

import pytest

from hlsorigin.errors import CodecError, Truncated
from hlsorigin.flv.enhanced import (
    ExMessage,
    TrackData,
    four_cc_name,
    parse_ex_audio,
    parse_ex_video,
)


def wire(text: str) -> bytes:
    """Hexadecimal digits, with text in quotes."""
    return b"".join(
        part[1:-1].encode() if part.startswith("'") else bytes.fromhex(part)
        for part in text.split()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90 'hvc1' 01", ExMessage(1, 0, 0, [TrackData(0, b"hvc1", 5, 6)], "")),
        ("a1 'av01' 12 00", ExMessage(2, 1, 0, [TrackData(0, b"av01", 5, 7)], "")),
        ("a3 'hvc1'", ExMessage(2, 3, 0, [TrackData(0, b"hvc1", 5, 5)], "")),
        ("92 'vp09'", ExMessage(1, 2, 0, [TrackData(0, b"vp09", 5, 5)], "")),
        # Command frames: one UI8 and no FourCC (rule 162), whatever the packet type.
        ("d1 00", ExMessage(5, 1, 0, [], "")),
        ("d0 01", ExMessage(5, 0, 0, [], "")),
        # "frameType is ignored if videoPacketType is VideoPacketType.MetaData"; ffmpeg sends d4.
        ("d4 'av01' 02 00", ExMessage(5, 4, 0, [TrackData(0, b"av01", 5, 7)], "")),
        ("d6 04 'av01' 03 02", ExMessage(5, 4, 0, [TrackData(3, b"av01", 7, 8)], "")),
        # OneTrack, as OBS sends it.
        ("96 00 'avc1' 02 01", ExMessage(1, 0, 0, [TrackData(2, b"avc1", 7, 8)], "")),
        ("a6 01 'hvc1' ff 000000", ExMessage(2, 1, 0, [TrackData(255, b"hvc1", 7, 10)], "")),
        # ManyTracks: one FourCC, a size per track.
        (
            "96 11 'av01' 00 000002 aabb 01 000001 cc",
            ExMessage(1, 1, 0, [TrackData(0, b"av01", 10, 12), TrackData(1, b"av01", 16, 17)], ""),
        ),
        # ManyTracksManyCodecs: a FourCC per track.
        (
            "a6 23 'avc1' 00 000000 'hvc1' 05 000003 010203",
            ExMessage(2, 3, 0, [TrackData(0, b"avc1", 10, 10), TrackData(5, b"hvc1", 18, 21)], ""),
        ),
        # ModEx: 3 bytes, TimestampOffsetNano, then CodedFrames.
        ("97 02 0f423f 01 'av01'", ExMessage(1, 1, 999_999, [TrackData(0, b"av01", 10, 10)], "")),
        # More bytes than the offset needs: the first three count.
        ("97 03 000001ff 01 'av01'", ExMessage(1, 1, 1, [TrackData(0, b"av01", 11, 11)], "")),
        # An unknown ModEx type, passed over by its size, then the offset, then multitrack.
        (
            "a7 00 ff 17 02 000100 06 01 'hvc1' 01 09",
            ExMessage(2, 1, 256, [TrackData(1, b"hvc1", 15, 16)], ""),
        ),
        # Too short or too large: says nothing.
        ("97 01 0001 01 'av01'", ExMessage(1, 1, 0, [TrackData(0, b"av01", 9, 9)], "")),
        ("97 02 0f4240 01 'av01'", ExMessage(1, 1, 0, [TrackData(0, b"av01", 10, 10)], "")),
    ],
)
def test_video(text: str, expected: ExMessage) -> None:
    assert parse_ex_video(wire(text)) == expected


def test_mod_ex_data_of_more_than_256_bytes() -> None:
    """255 says that a UI16 follows; the size is that plus one."""
    for size in (256, 257, 65_536):
        data = b"\x00\x00\x07" + bytes(size - 3)
        payload = b"\x97\xff" + (size - 1).to_bytes(2, "big") + data + b"\x01av01"
        assert parse_ex_video(payload)[:3] == (1, 1, 7)
        assert parse_ex_video(payload).tracks[0].start == len(payload)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90 'Opus' 01", ExMessage(0, 0, 0, [TrackData(0, b"Opus", 5, 6)], "")),
        ("91 '.mp3' ff", ExMessage(0, 1, 0, [TrackData(0, b".mp3", 5, 6)], "")),
        ("94 'Opus' 01 02", ExMessage(0, 4, 0, [TrackData(0, b"Opus", 5, 7)], "")),
        ("95 01 'mp4a' 01 21", ExMessage(0, 1, 0, [TrackData(1, b"mp4a", 7, 8)], "")),
        (
            "95 11 'ac-3' 00 000001 0b 01 000001 0c",
            ExMessage(0, 1, 0, [TrackData(0, b"ac-3", 10, 11), TrackData(1, b"ac-3", 15, 16)], ""),
        ),
        (
            "95 21 'fLaC' 00 000001 0b 'ec-3' 01 000000",
            ExMessage(0, 1, 0, [TrackData(0, b"fLaC", 10, 11), TrackData(1, b"ec-3", 19, 19)], ""),
        ),
        ("97 02 000400 01 'Opus' fc", ExMessage(0, 1, 1024, [TrackData(0, b"Opus", 10, 11)], "")),
        (
            "97 02 000400 05 01 'Opus' 01",
            ExMessage(0, 1, 1024, [TrackData(1, b"Opus", 12, 12)], ""),
        ),
        # 6 is Multitrack for video alone.
        ("96 'Opus' fc", ExMessage(0, 6, 0, [TrackData(0, b"Opus", 5, 6)], "")),
    ],
)
def test_audio(text: str, expected: ExMessage) -> None:
    assert parse_ex_audio(wire(text)) == expected


@pytest.mark.parametrize(
    ("text", "numbers", "problem"),
    [
        ("96 11 'av01' 00 000001 aa 01 000009 bb", [0], "track 1 needs 9 bytes, only 1 left"),
        ("96 11 'av01' 00 000001 aa 01 0000", [0], "the header of track entry 1 is cut"),
        ("96 21 'av01' 00 000001 aa 'av'", [0], "the header of track entry 1 is cut"),
    ],
)
def test_tracks_before_a_broken_one_are_given(text: str, numbers: list[int], problem: str) -> None:
    message = parse_ex_video(wire(text))
    assert [track.number for track in message.tracks] == numbers
    assert message.problem == problem


def test_tracks_of_a_message_are_bounded() -> None:
    message = parse_ex_video(b"\x96\x11av01" + bytes(4) * 100_000)
    assert len(message.tracks) == 256
    assert message.problem == "more than 256 tracks in one message"


@pytest.mark.parametrize(
    "text",
    ["90", "90 'hvc'", "96", "96 00 'avc'", "96 00 'avc1'", "97", "97 02 0000", "97 02 000000",
     "97 ff 00", "97 02 000000 01", "97 02 000000 06", "d4", "d6"],
)  # fmt: skip
def test_cut(text: str) -> None:
    with pytest.raises(Truncated):
        parse_ex_video(wire(text))
    if not text.startswith(("96", "d", "97 02 000000 06")):
        with pytest.raises(Truncated):
            parse_ex_audio(wire(text))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("96 06 'avc1' 00", "within multitrack"),
        ("96 31 'avc1' 00", "multitrack of unknown type 3"),
        ("97" + " 00 00 07" * 17, "more than 16 ModEx"),
    ],
)
def test_nonsense(text: str, why: str) -> None:
    with pytest.raises(CodecError, match=why):
        parse_ex_video(wire(text))


def test_names() -> None:
    assert four_cc_name(b".mp3") == ".mp3"
    assert four_cc_name(b"\x00abc") == "FourCC 0x00616263"
