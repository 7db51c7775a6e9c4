from __future__ import annotations

import pytest

from hlsorigin.codecs.opus import packet_samples, parse_opus_head, stereo_config
from hlsorigin.errors import CodecError, Truncated, Unsupported
from tests.codecs.media import box, fixture, samples


def opus_head(name: str) -> bytes:
    """The first packet of an Ogg file: its page has one segment of that length (RFC 3533 6)."""
    ogg = fixture(name)
    assert ogg[26] == 1
    return ogg[28 : 28 + ogg[27]]


@pytest.mark.parametrize(
    ("ogg", "mp4", "channels", "packet"),
    [
        ("opus_mono.ogg", "opus_mono.mp4", 1, 2880),
        ("opus_stereo.ogg", "opus_stereo.mp4", 2, 960),
        ("opus_5_1.ogg", "opus_5_1.mp4", 6, 960),
    ],
)
def test_libopus(ogg: str, mp4: str, channels: int, packet: int) -> None:
    """ffmpeg made ``dOps`` out of the same OpusHead; packets as -frame_duration asked for."""
    config = parse_opus_head(opus_head(ogg))
    media = fixture(mp4)
    assert config.serialize_record() == box(media, "dOps")
    assert (config.channels, config.hls_channels) == (channels, str(channels))
    assert (config.sample_rate, config.clock_rate_hz, config.pre_skip) == (48_000, 48_000, 312)
    assert config.codec_string == "Opus"
    counts = [config.frame_samples(data) for data in samples(media)]
    # 0.2 s and the pre-skip, filled up to whole packets.
    assert set(counts) == {packet}
    assert 0 <= sum(counts) - (9600 + 312) < packet


def test_surround_mapping() -> None:
    """RFC 7845 5.1.1.2: 5.1 in Vorbis order is four streams, two of them coupled."""
    config = parse_opus_head(opus_head("opus_5_1.ogg"))
    assert (config.mapping_family, config.stream_count, config.coupled_count) == (1, 4, 2)
    assert config.mapping == bytes((0, 4, 1, 2, 3, 5))


def test_what_makes_a_difference() -> None:
    head = opus_head("opus_stereo.ogg")
    config = parse_opus_head(head)
    assert parse_opus_head(head[:12] + b"\x44\xac\0\0" + head[16:]) == config  # input rate
    assert parse_opus_head(head[:10] + b"\0\0" + head[12:]) == stereo_config()
    louder = parse_opus_head(head[:16] + b"\x00\xff" + head[18:])
    assert louder != config
    assert louder.output_gain == -256
    assert louder.serialize_record()[8:10] == b"\xff\x00"


@pytest.mark.parametrize(
    ("packet", "count"),
    [
        # RFC 6716 table 2: config in the upper five bits; 3.2: code in the lower two.
        ("00", 480),
        ("18", 2880),
        ("60", 480),
        ("78", 960),
        ("80", 120),
        ("f8", 960),
        ("f9", 1920),
        ("fa", 1920),
        ("fb 03", 2880),
        ("fb 86", 5760),
        ("83 30", 5760),
    ],
)
def test_packet_samples(packet: str, count: int) -> None:
    assert packet_samples(bytes.fromhex(packet)) == count


def test_wrong_input() -> None:
    head = opus_head("opus_5_1.ogg")
    for end in range(len(head)):
        with pytest.raises((Truncated, CodecError)):
            parse_opus_head(head[:end])
    with pytest.raises(Unsupported):
        parse_opus_head(head[:8] + b"\x10" + head[9:])
    for offset, value in ((9, 0), (18, 0), (19, 0), (20, 5), (21, 6)):
        with pytest.raises(CodecError):
            parse_opus_head(head[:offset] + bytes((value,)) + head[offset + 1 :])
    for packet in ("", "fb"):
        with pytest.raises(Truncated):
            packet_samples(bytes.fromhex(packet))
    for packet in ("fb 00", "fb 07", "83 31"):
        with pytest.raises(CodecError):
            packet_samples(bytes.fromhex(packet))
