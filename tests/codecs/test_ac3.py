from __future__ import annotations

from collections.abc import Sequence

import pytest

from hlsorigin.codecs.ac3 import (
    Ac3Config,
    Eac3Config,
    parse_ac3_frame,
)
from hlsorigin.codecs.eac3_frame import MAX_SYNCFRAMES
from hlsorigin.errors import CodecError, Truncated, Unsupported
from hlsorigin.wire.bits import BitWriter
from tests.codecs.media import box, fixture, samples


@pytest.mark.parametrize(
    ("name", "rate", "channels", "bitrate_kbps"),
    [("ac3_stereo.mp4", 48_000, 2, 96), ("ac3_5_1_44100.mp4", 44_100, 6, 448)],
)
def test_ac3_of_ffmpeg(name: str, rate: int, channels: int, bitrate_kbps: int) -> None:
    mp4 = fixture(name)
    for frame in samples(mp4):
        config = parse_ac3_frame(frame)
        assert isinstance(config, Ac3Config)
        assert config.serialize_record() == box(mp4, "dac3")
        assert (config.sample_rate, config.channels) == (rate, channels)
        assert config.bitrate_kbps == bitrate_kbps
        assert (config.codec_string, config.hls_channels) == ("ac-3", str(channels))
        assert config.frame_samples(frame) == config.samples_per_frame == 1536


@pytest.mark.parametrize(
    ("name", "channels", "bitrate_kbps"),
    [("eac3_5_1.mp4", 6, 192), ("eac3_stereo_info.mp4", 2, 64)],
)
def test_eac3_of_ffmpeg(name: str, channels: int, bitrate_kbps: int) -> None:
    mp4 = fixture(name)
    for frame in samples(mp4):
        config = parse_ac3_frame(frame)
        assert isinstance(config, Eac3Config)
        assert config.serialize_record() == box(mp4, "dec3")
        assert (config.sample_rate, config.channels) == (48_000, channels)
        assert config.bitrate_kbps == bitrate_kbps
        assert (config.codec_string, config.hls_channels) == ("ec-3", str(channels))
        assert config.frame_samples(frame) == config.samples_per_frame == 1536
        assert config.joc_complexity is None


def eac3(
    frame_bytes: int = 192,
    *,
    stream_type: int = 0,
    substream_id: int = 0,
    rate: tuple[int, int] = (0, 3),
    acmod: int = 7,
    lfe: int = 1,
    chanmap: int | None = None,
    mixing: Sequence[tuple[int, int]] | None = None,
    joc: int | None = None,
) -> bytes:
    """A syncframe after ETSI TS 102 366 table E.1.2, filled up with zeros.

    Args:
        rate: fscod and numblkscod.
        mixing: mixing metadata behind mixmdate, bits and value of each field.
        joc: complexity_index_type_a of ETSI TS 103 420 8.3.
    """
    w = BitWriter().u(16, 0x0B77).u(2, stream_type).u(3, substream_id).u(11, frame_bytes // 2 - 1)
    w.u(2, rate[0]).u(2, rate[1]).u(3, acmod).u(1, lfe).u(5, 16)
    w.u(5, 31).u(1, 1).u(8, 0)
    if stream_type == 1:
        w.u(1, chanmap is not None)
        if chanmap is not None:
            w.u(16, chanmap)
    w.u(1, mixing is not None)
    if mixing is not None:
        for size, value in mixing:
            w.u(size, value)
    w.u(1, 1).u(3, 2).u(2, 3)  # infomdate, bsmod 2
    if acmod == 2:
        w.u(4, 0)
    if acmod >= 6:
        w.u(2, 0)
    w.u(1, 1).u(8, 0).u(1, 0)  # audprodie, sourcefscod
    if stream_type == 0 and rate[1] != 3:
        w.u(1, 0)  # convsync
    w.u(1, joc is not None)
    if joc is not None:
        w.u(6, 1).u(7, 0).u(1, 1).u(8, joc)
    return bytes(w).ljust(frame_bytes, b"\0")


def test_joint_object_coding() -> None:
    """TS 103 420: the extension ends dec3; RFC 8216bis 4.4.6.1 has ``16/JOC`` for it."""
    # dmixmod, centre and surround levels, LFE level, pgmscl, extpgmscl, mixdef 3 of 3 bytes,
    # frmmixcfginfoe with all six blocks.
    mixing = [(2, 1), (6, 0), (6, 0), (1, 1), (5, 9), (1, 1), (6, 9), (1, 0)]
    mixing += [(2, 3), (5, 1), (24, 0), (1, 1), *[(1, 1), (5, 0)] * 6]
    config = parse_ac3_frame(eac3(joc=16, mixing=mixing))
    assert isinstance(config, Eac3Config)
    assert (config.joc_complexity, config.hls_channels, config.channels) == (16, "16/JOC", 6)
    # data_rate 48, one substream; fscod 0, bsid 16, bsmod 2, acmod 7, lfeon; the extension.
    assert config.serialize_record().hex() == "0180" + "202f00" + "0110"


def test_dependent_substream_adds_channels() -> None:
    """7.1: chanmap (E.1.3.1.8) has Ls, Rs, Lrs/Rrs; chan_loc (F.6.2.13) only Lrs/Rrs, bit 1."""
    unit = eac3(192) + eac3(128, stream_type=1, chanmap=0x1A00, acmod=6, lfe=0)
    config = parse_ac3_frame(unit)
    assert isinstance(config, Eac3Config)
    assert (config.channels, config.hls_channels, len(config.substreams)) == (8, "8", 1)
    assert (config.bitrate_kbps, config.frame_samples(unit)) == (80, 1536)
    assert config.serialize_record().hex() == "0280" + "202f02" + "02"


def test_short_frames_and_several_programmes() -> None:
    """E.1.3.1: six frames of a block make an access unit; each has all substreams."""
    part = eac3(64, rate=(1, 0)) + eac3(32, rate=(1, 0), substream_id=1, acmod=1, lfe=0)
    config = parse_ac3_frame(part * 6)
    assert isinstance(config, Eac3Config)
    assert config.sample_rate == 44_100
    assert [each.channels for each in config.substreams] == [6, 1]
    assert config.frame_samples(part) == 256
    assert config.frame_samples(part * 6) == config.samples_per_frame == 1536
    assert parse_ac3_frame(part) == config


def test_half_rate() -> None:
    config = parse_ac3_frame(eac3(rate=(3, 1)))
    assert (config.sample_rate, config.samples_per_frame) == (22_050, 1536)


def test_wrong_input() -> None:
    frame = samples(fixture("ac3_stereo.mp4"))[0]
    with pytest.raises(CodecError, match="syncword"):
        parse_ac3_frame(b"\x77\x0b" + frame[2:])
    with pytest.raises(CodecError, match="reserved"):
        parse_ac3_frame(frame[:4] + b"\xc0" + frame[5:])
    with pytest.raises(CodecError, match="reserved"):
        parse_ac3_frame(frame[:4] + b"\x3f" + frame[5:])
    with pytest.raises(Unsupported, match="bsid 9"):
        parse_ac3_frame(frame[:5] + b"\x48" + frame[6:])
    with pytest.raises(Truncated):
        parse_ac3_frame(frame[:7])
    with pytest.raises(Truncated):
        parse_ac3_frame(eac3()[:-1])
    with pytest.raises(CodecError, match="begin"):
        parse_ac3_frame(eac3() + bytes(8))
    with pytest.raises(CodecError, match="more than"):
        parse_ac3_frame(eac3(32) * (MAX_SYNCFRAMES + 1))
    with pytest.raises(CodecError, match="independent"):
        parse_ac3_frame(eac3(stream_type=1))
