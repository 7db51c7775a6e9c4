from __future__ import annotations

import random
from dataclasses import dataclass

import pytest

from hlsorigin.codecs.aac import MAX_ASC_BYTES, AacConfig, parse_adts_header
from hlsorigin.errors import CodecError, Truncated, Unsupported
from hlsorigin.wire.bits import BitWriter


@dataclass(frozen=True)
class Case:
    """An AudioSpecificConfig and what 14496-3 says it means."""

    name: str
    asc: bytes
    codec_string: str
    core_rate: int
    rate: int
    channels: int
    samples: int = 1024


def write(*fields: tuple[int, int]) -> bytes:
    """Write (width, value) fields."""
    writer = BitWriter()
    for width, value in fields:
        writer.u(width, value)
    return bytes(writer)


def program_config(front: str, side: str, back: str, lfe: int, comment: bytes = b"") -> bytes:
    """ASC with a program_config_element; "c" is a channel pair, "s" a single channel."""
    w = BitWriter().u(5, 2).u(4, 3).u(4, 0).u(3, 0)
    w.u(4, 0).u(2, 1).u(4, 3)
    w.u(4, len(front)).u(4, len(side)).u(4, len(back)).u(2, lfe).u(3, 1).u(4, 1)
    w.u(1, 1).u(4, 2).u(1, 0).u(1, 1).u(3, 5)  # mono mixdown, no stereo mixdown, matrix mixdown
    for element in front + side + back:
        w.u(1, element == "c").u(4, 0)
    w.u(4 * lfe, 0).u(4, 0).u(5, 0)
    head = bytes(w)  # byte_alignment
    return head + bytes((len(comment),)) + comment


CASES = [
    Case("lc 44.1 stereo", b"\x12\x10", "mp4a.40.2", 44_100, 44_100, 2),
    Case("lc 48 mono", b"\x11\x88", "mp4a.40.2", 48_000, 48_000, 1),
    Case("main", write((5, 1), (4, 4), (4, 2), (3, 0)), "mp4a.40.1", 44_100, 44_100, 2),
    Case("ltp", write((5, 4), (4, 4), (4, 2), (3, 0)), "mp4a.40.4", 44_100, 44_100, 2),
    Case("lc 5.1", write((5, 2), (4, 3), (4, 6), (3, 0)), "mp4a.40.2", 48_000, 48_000, 6),
    Case("lc 7.1", write((5, 2), (4, 3), (4, 7), (3, 0)), "mp4a.40.2", 48_000, 48_000, 8),
    Case("lc 7.1 top", write((5, 2), (4, 3), (4, 14), (3, 0)), "mp4a.40.2", 48_000, 48_000, 8),
    Case("960 samples", write((5, 2), (4, 3), (4, 2), (3, 4)), "mp4a.40.2", 48_000, 48_000, 2, 960),
    Case(
        "depends on core coder",
        write((5, 2), (4, 3), (4, 2), (1, 0), (1, 1), (14, 99), (1, 0)),
        *("mp4a.40.2", 48_000, 48_000, 2),
    ),
    Case(
        "explicit rate of the table",
        write((5, 2), (4, 15), (24, 44_100), (4, 2), (3, 0)),
        *("mp4a.40.2", 44_100, 44_100, 2),
    ),
    Case(
        "explicit odd rate",
        write((5, 2), (4, 15), (24, 37_800), (4, 2), (3, 0)),
        *("mp4a.40.2", 37_800, 37_800, 2),
    ),
    # 1.6.5.2: explicit hierarchical signalling.
    Case(
        "he-aac explicit",
        write((5, 5), (4, 7), (4, 2), (4, 4), (5, 2), (3, 0)),
        *("mp4a.40.5", 22_050, 44_100, 2),
    ),
    Case(
        "he-aac v2 explicit",
        write((5, 29), (4, 6), (4, 1), (4, 3), (5, 2), (3, 0)),
        *("mp4a.40.29", 24_000, 48_000, 2),
    ),
    # 1.6.5.3: backward compatible signalling behind the GASpecificConfig.
    Case("he-aac compatible", bytes.fromhex("131056e598"), "mp4a.40.5", 24_000, 48_000, 2),
    Case(
        "he-aac v2 compatible",
        write(
            (5, 2), (4, 6), (4, 1), (3, 0), (11, 0x2B7), (5, 5), (1, 1), (4, 3), (11, 0x548), (1, 1)
        ),
        *("mp4a.40.29", 24_000, 48_000, 2),
    ),
    Case(
        "he-aac compatible, ps denied",
        write(
            (5, 2), (4, 6), (4, 1), (3, 0), (11, 0x2B7), (5, 5), (1, 1), (4, 3), (11, 0x548), (1, 0)
        ),
        *("mp4a.40.5", 24_000, 48_000, 1),
    ),
    Case(
        "er aac lc with compatible sbr: epConfig stands between",
        write(*((5, 17), (4, 6), (4, 2), (3, 0), (2, 0), (11, 0x2B7), (5, 5), (1, 1), (4, 3))),
        *("mp4a.40.5", 24_000, 48_000, 2),
    ),
    Case("sbr denied (ffmpeg)", bytes.fromhex("119056e500"), "mp4a.40.2", 48_000, 48_000, 2),
    Case("cut sync extension", bytes.fromhex("131056e5"), "mp4a.40.2", 24_000, 24_000, 2),
    Case(
        "sync extension with reserved rate",
        write((5, 2), (4, 6), (4, 1), (3, 0), (11, 0x2B7), (5, 5), (1, 1), (4, 14)),
        *("mp4a.40.2", 24_000, 24_000, 1),
    ),
    Case("trailing zeros", b"\x12\x10" + bytes(30), "mp4a.40.2", 44_100, 44_100, 2),
    Case("pce stereo", program_config("c", "", "", 0), "mp4a.40.2", 48_000, 48_000, 2),
    Case("pce 5.1", program_config("sc", "", "c", 1, b"hello"), "mp4a.40.2", 48_000, 48_000, 6),
    Case("pce 7.1", program_config("sc", "c", "c", 1), "mp4a.40.2", 48_000, 48_000, 8),
    Case(
        "er aac ld",
        write((5, 23), (4, 3), (4, 1), (1, 1), (1, 0), (1, 1), (3, 0), (1, 0), (2, 0)),
        *("mp4a.40.23", 48_000, 48_000, 1, 480),
    ),
]
BY_NAME = {case.name: case for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parse(case: Case) -> None:
    config = AacConfig.parse(case.asc)
    assert config.asc == case.asc
    assert config.codec_string == case.codec_string
    assert (config.core_sample_rate, config.sample_rate) == (case.core_rate, case.rate)
    assert (config.channels, config.samples_per_frame) == (case.channels, case.samples)
    assert (config.clock_rate_hz, config.frame_samples(b"")) == (case.core_rate, case.samples)
    assert config.hls_channels == str(case.channels)
    assert config.has_ps is (case.codec_string == "mp4a.40.29")
    assert config.has_sbr is (case.codec_string in ("mp4a.40.5", "mp4a.40.29"))


def test_equality_is_by_bytes() -> None:
    assert AacConfig.parse(b"\x12\x10") == AacConfig.parse(b"\x12\x10")
    assert AacConfig.parse(b"\x12\x10") != AacConfig.parse(b"\x12\x10\x00")
    assert hash(AacConfig.parse(b"\x12\x10")) == hash(AacConfig.parse(b"\x12\x10"))


@pytest.mark.parametrize(
    ("asc", "error"),
    [
        (b"", Truncated),
        (b"\x12", Truncated),
        (write((5, 2), (4, 13), (4, 2), (3, 0)), CodecError),  # reserved rate index
        (write((5, 2), (4, 3), (4, 8), (3, 0)), CodecError),  # reserved channels
        (write((5, 2), (4, 15), (24, 0), (4, 2), (3, 0)), CodecError),
        (write((5, 0), (4, 3), (4, 2), (3, 0)), Unsupported),
        (write((5, 31), (6, 10), (4, 3), (4, 2), (3, 0)), Unsupported),  # 42: USAC
        (write((5, 31), (6, 7), (4, 3), (4, 2), (3, 0)), Unsupported),  # 39: ELD
        (write((5, 2), (4, 3), (4, 0), (3, 0)), Truncated),  # PCE announced, absent
        (b"\x12\x10" + bytes(MAX_ASC_BYTES), CodecError),
        (write((5, 2), (4, 3), (4, 0), (3, 0), (31, 0), (3, 0), (30, 0)), CodecError),
    ],
)
def test_refused(asc: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        AacConfig.parse(asc)


def test_adts_header_bit_by_bit() -> None:
    """14496-3 1.A.3.2: LC 44.1 kHz stereo, 100 bytes of data."""
    header = AacConfig.parse(b"\x12\x10").adts_header(100)
    assert header == write(
        *((12, 0xFFF), (1, 0), (2, 0), (1, 1)),  # syncword, MPEG-4, layer, no CRC
        *((2, 1), (4, 4), (1, 0), (3, 2)),  # profile LC, 44.1 kHz, private, stereo
        *((1, 0), (1, 0), (1, 0), (1, 0)),
        *((13, 107), (11, 0x7FF), (2, 0)),
    )


@pytest.mark.parametrize("name", ["he-aac explicit", "he-aac v2 explicit", "he-aac compatible"])
def test_adts_of_he_aac_has_core_profile_and_rate(name: str) -> None:
    """Decoders find SBR in the frames; ADTS has no word for it (14496-3 1.6.5)."""
    config = AacConfig.parse(BY_NAME[name].asc)
    config.check_adts()
    header = parse_adts_header(config.adts_header(50))
    core = AacConfig.parse(header.asc)
    assert core.audio_object_type == 2
    assert core.core_sample_rate == BY_NAME[name].core_rate
    assert core.channel_configuration == config.channel_configuration
    assert (header.header_bytes, header.frame_bytes) == (7, 57)


def test_adts_frame_length_limit() -> None:
    config = AacConfig.parse(b"\x12\x10")
    assert parse_adts_header(config.adts_header(8184)).frame_bytes == 8191
    with pytest.raises(CodecError):
        config.adts_header(8185)


@pytest.mark.parametrize(
    "name",
    ["explicit odd rate", "pce 5.1", "lc 7.1 top", "960 samples", "er aac ld"],
)
def test_adts_has_no_bits_for(name: str) -> None:
    with pytest.raises(Unsupported, match="MPEG-TS"):
        AacConfig.parse(BY_NAME[name].asc).check_adts()


def test_adts_with_crc() -> None:
    """protection_absent 0: two bytes of CRC are part of the header."""
    header = parse_adts_header(bytes.fromhex("fff0 5080 0d5f fc".replace(" ", "")) + b"\xab\xcd")
    assert (header.header_bytes, header.frame_bytes) == (9, 0x6A)
    assert AacConfig.parse(header.asc).core_sample_rate == 44_100


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ("fff15080", Truncated),
        ("00000000000000", CodecError),
        ("fff35080001ffc", CodecError),  # layer not 0: MPEG audio
        ("fff1748000fffc", CodecError),  # reserved rate
        ("fff15080 00bffc", CodecError),  # shorter than its header
        ("fff150800d5ffd", CodecError),  # two raw data blocks
    ],
)
def test_no_adts_header(data: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_adts_header(bytes.fromhex(data))


def test_only_documented_errors() -> None:
    dice = random.Random(4)
    for _ in range(5000):
        data = bytearray(dice.choice(CASES).asc)
        for _ in range(dice.randrange(1, 4)):
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        try:
            config = AacConfig.parse(bytes(data[: dice.randrange(len(data) + 1)]))
            assert config.channels > 0 and config.sample_rate > 0
            assert config.samples_per_frame in (480, 512, 960, 1024)
            config.check_adts()
            parse_adts_header(config.adts_header(9))
        except (CodecError, Truncated, Unsupported):
            continue
