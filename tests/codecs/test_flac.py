from __future__ import annotations

import pytest

from hlsorigin.codecs.flac import frame_block_size, parse_flac_header
from hlsorigin.errors import CodecError, Truncated
from tests.codecs.media import box, fixture, samples


@pytest.mark.parametrize(
    ("flac", "mp4", "rate", "channels", "bits", "counts"),
    [
        ("flac_stereo.flac", "flac_stereo.mp4", 48_000, 2, 16, [960]),
        ("flac_96k_24bit.flac", "flac_96k_24bit.mp4", 96_000, 1, 24, [1000, 1000, 880]),
    ],
)
def test_ffmpeg(
    flac: str, mp4: str, rate: int, channels: int, bits: int, counts: list[int]
) -> None:
    """0.02 s at 48 kHz and 0.03 s at 96 kHz; rate, channels and bits as ffprobe prints them."""
    config = parse_flac_header(fixture(flac)[:42])
    assert (config.sample_rate, config.channels, config.bits_per_sample) == (rate, channels, bits)
    assert (config.clock_rate_hz, config.hls_channels) == (rate, str(channels))
    assert config.codec_string == "fLaC"
    media = fixture(mp4)
    assert [config.frame_samples(data) for data in samples(media)] == counts
    # Version and flags first; what only a file knows is 0: frame sizes, samples, MD5.
    written = box(media, "dfLa")[4:]
    ours = config.serialize_record()
    assert (ours[:8], ours[14:17]) == (written[:8], written[14:17])
    assert ours[17] & 0xF0 == written[17] & 0xF0
    assert len(ours) == len(written) == 38
    assert not any(ours[8:14]) and not any(ours[18:])
    # STREAMINFO as it stands alone, with its block header, and with the marker.
    assert parse_flac_header(written) == parse_flac_header(written[4:]) == config
    assert parse_flac_header(ours) == config


@pytest.mark.parametrize(
    ("header", "count"),
    [
        # RFC 9639 9.1.1: block size in the upper nibble of the third byte; 9.1.5: coded number.
        ("fff8 1008 00", 192),
        ("fff8 2008 00", 576),
        ("fff8 5008 00", 4608),
        ("fff8 8008 00", 256),
        ("fff8 c008 00", 4096),
        ("fff8 f008 00", 32_768),
        ("fff8 6008 00 0f", 16),
        ("fff8 7008 00 03bf", 960),
        ("fff9 7008 c280 ffff", 65_536),
        ("fff9 6008 febfbfbfbfbfbf 01", 2),
    ],
)
def test_block_size(header: str, count: int) -> None:
    assert frame_block_size(bytes.fromhex(header)) == count


def test_wrong_input() -> None:
    head = fixture("flac_stereo.flac")[:42]
    for end in range(42):
        with pytest.raises((Truncated, CodecError)):
            parse_flac_header(head[:end])
    with pytest.raises(CodecError, match="metadata block"):
        parse_flac_header(head[:4] + b"\x04" + head[5:])
    with pytest.raises(CodecError, match="block sizes"):
        parse_flac_header(head[:8] + b"\xff\xff" + head[10:])
    with pytest.raises(CodecError, match="0 Hz"):
        parse_flac_header(head[:18] + b"\0\0\x0b" + head[21:])
    for frame in ("fff8 7008 00 03", "fff8 1008"):
        with pytest.raises(Truncated):
            frame_block_size(bytes.fromhex(frame))
    for frame in ("fff8 0008 00", "ffe8 1008 00", "fff8 6008 80 00", "fff8 6008 ff 00"):
        with pytest.raises(CodecError):
            frame_block_size(bytes.fromhex(frame))
