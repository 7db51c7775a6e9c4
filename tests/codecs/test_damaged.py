"""Damaged input: parsers of peer data raise the errors of the tree and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.codecs.ac3 import parse_ac3_frame
from hlsorigin.codecs.av1 import parse_av1_record, strip_temporal_delimiters
from hlsorigin.codecs.flac import frame_block_size, parse_flac_header
from hlsorigin.codecs.h265 import parse_hevc_record
from hlsorigin.codecs.opus import packet_samples, parse_opus_head
from hlsorigin.codecs.vp9 import Vp9Config, parse_vp9_keyframe, parse_vp9_record
from hlsorigin.errors import PeerError, Unsupported
from hlsorigin.media.track import CodecConfig
from tests.codecs.media import box, fixture, samples
from tests.codecs.test_ac3 import eac3
from tests.codecs.test_opus import opus_head


def use(config: CodecConfig) -> None:
    """Ask for all that muxers and playlists ask for."""
    assert config.codec_string.isascii()
    assert hash(config) == hash(config)
    if hasattr(config, "serialize_record"):
        assert config.serialize_record()


def hevc(data: bytes) -> None:
    config, _ = parse_hevc_record(data)
    use(config)
    assert parse_hevc_record(config.serialize_record())[0] == config


def av1(data: bytes) -> None:
    config = parse_av1_record(data)
    use(config)
    assert parse_av1_record(config.serialize_record()) == config


def vp9(data: bytes) -> None:
    keyframe = parse_vp9_keyframe(data[8:])
    if keyframe is not None:
        use(Vp9Config.from_keyframe(keyframe, parse_vp9_record(data[:8])))


def opus(data: bytes) -> None:
    use(parse_opus_head(data))


def flac(data: bytes) -> None:
    config = parse_flac_header(data)
    use(config)
    assert parse_flac_header(config.serialize_record()) == config


def ac3(data: bytes) -> None:
    config = parse_ac3_frame(data)
    use(config)
    config.frame_samples(data)


VP9 = fixture("vp9_profile1_444.mp4")
SEEDS: list[tuple[Callable[[bytes], object], bytes]] = [
    (hevc, box(fixture("hevc_main.mp4"), "hvcC")[:111]),  # without its SEI
    (hevc, box(fixture("hevc_main10_hlg.mp4"), "hvcC")),
    (av1, box(fixture("av1_aom_pq.mp4"), "av1C")),
    (strip_temporal_delimiters, fixture("av1_svt.obu")[:64]),
    (vp9, box(VP9, "vpcC")[4:] + samples(VP9)[0][:32]),
    (opus, opus_head("opus_5_1.ogg")),
    (packet_samples, samples(fixture("opus_stereo.mp4"))[0][:4]),
    (flac, fixture("flac_stereo.flac")[:42]),
    (frame_block_size, samples(fixture("flac_stereo.mp4"))[0][:16]),
    (ac3, samples(fixture("ac3_stereo.mp4"))[0]),
    (ac3, samples(fixture("eac3_stereo_info.mp4"))[0]),
    (ac3, eac3(96, joc=12) + eac3(64, stream_type=1, chanmap=0x1A02)),
]
EDITS = st.lists(
    st.tuples(st.integers(0, 4095), st.integers(0, 255), st.sampled_from("scid")), max_size=6
)


@pytest.mark.parametrize("index", range(len(SEEDS)))
@settings(max_examples=300, deadline=None)
@given(edits=EDITS)
def test_damage(index: int, edits: list[tuple[int, int, str]]) -> None:
    """s sets a byte, c cuts, i inserts, d deletes."""
    use_it, seed = SEEDS[index]
    data = bytearray(seed)
    for offset, value, kind in edits:
        offset %= max(1, min(len(data), 200))
        if kind == "c":
            del data[max(offset, len(data) // 4) :]
        elif kind == "i":
            data.insert(offset, value)
        elif data and kind == "d":
            del data[offset]
        elif data:
            data[offset] = value
    try:
        use_it(bytes(data))
    except (PeerError, Unsupported):
        pass


@pytest.mark.parametrize("index", range(len(SEEDS)))
@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=300))
def test_noise(index: int, data: bytes) -> None:
    try:
        SEEDS[index][0](data)
    except (PeerError, Unsupported):
        pass
