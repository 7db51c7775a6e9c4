from __future__ import annotations

from fractions import Fraction

import pytest

from hlsorigin.codecs.colour import Colour
from hlsorigin.codecs.vp9 import Vp9Config, Vp9Keyframe, parse_vp9_keyframe, parse_vp9_record
from hlsorigin.errors import CodecError, Truncated
from tests.codecs.media import box, fixture, samples


@pytest.mark.parametrize(
    ("name", "codec_string", "video_range", "bit_depth"),
    [
        ("vp9_profile0.mp4", "vp09.00.11.08", "SDR", 8),
        ("vp9_profile1_444.mp4", "vp09.01.11.08.03.02.02.01.01", "SDR", 8),
        ("vp9_profile2_hlg.mp4", "vp09.02.11.10.01.09.18.09.00", "HLG", 10),
    ],
)
def test_libvpx(name: str, codec_string: str, video_range: str, bit_depth: int) -> None:
    """libavformat writes level 1.1 for 322x182 at 30 fps and the colour that ffprobe prints."""
    mp4 = fixture(name)
    written = box(mp4, "vpcC")
    key, inter = samples(mp4)
    keyframe = parse_vp9_keyframe(key)
    assert keyframe is not None
    config = Vp9Config.from_keyframe(keyframe, parse_vp9_record(written))
    assert (config.width, config.height, config.bit_depth) == (322, 182, bit_depth)
    assert (config.codec_string, config.video_range) == (codec_string, video_range)
    assert config.serialize_record() == written[4:]
    assert parse_vp9_record(written[4:]) == parse_vp9_record(written)
    assert parse_vp9_keyframe(inter) is None
    assert Vp9Config.from_keyframe(keyframe).level == 11


def test_record_that_contradicts_the_keyframe() -> None:
    key = parse_vp9_keyframe(samples(fixture("vp9_profile0.mp4"))[0])
    assert key is not None
    hlg = parse_vp9_record(box(fixture("vp9_profile2_hlg.mp4"), "vpcC"))
    assert Vp9Config.from_keyframe(key, hlg) == Vp9Config.from_keyframe(key)


@pytest.mark.parametrize(
    ("width", "height", "rate", "level"),
    [
        # Table of levels: largest picture, side and luma sample rate.
        (160, 90, None, 10),
        (640, 360, None, 21),
        (1280, 720, None, 31),
        (1280, 720, Fraction(60), 40),
        (1920, 1080, None, 40),
        (1920, 1080, Fraction(60), 41),
        (3840, 2160, None, 50),
        (3840, 2160, Fraction(60), 51),
        (7680, 4320, Fraction(60), 61),
        (65_536, 65_536, None, 62),
    ],
)
def test_level_by_size(width: int, height: int, rate: Fraction | None, level: int) -> None:
    config = Vp9Config.from_keyframe(Vp9Keyframe(0, 8, 1, Colour(), width, height), None, rate)
    assert config.level == level


def test_level_of_the_record_holds_when_it_fits() -> None:
    keyframe = Vp9Keyframe(0, 8, 1, Colour(), 1280, 720)
    for level, expected in ((51, 51), (10, 31), (0, 31), (62, 62), (99, 31)):
        record = parse_vp9_record(bytes((0, level, 0x82, 2, 2, 2, 0, 0)))
        assert Vp9Config.from_keyframe(keyframe, record).level == expected


def test_wrong_input() -> None:
    for record in ("040a82020202", "000a72020202", "000a8a020202"):
        with pytest.raises(CodecError, match=record):
            parse_vp9_record(bytes.fromhex(record))
    with pytest.raises(Truncated):
        parse_vp9_record(b"\x00\x0a\x82\x02")
    key = samples(fixture("vp9_profile0.mp4"))[0]
    with pytest.raises(CodecError, match="sync code"):
        parse_vp9_keyframe(key[:1] + b"\x00" + key[2:])
    with pytest.raises(CodecError, match="frame marker"):
        parse_vp9_keyframe(b"\x00" + key[1:])
    with pytest.raises(CodecError, match="above 3"):
        parse_vp9_keyframe(b"\xb8")
    with pytest.raises(Truncated):
        parse_vp9_keyframe(key[:8])
