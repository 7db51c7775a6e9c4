"""Enhanced RTMP payloads, written by hand after E-RTMP v2, and real frames to put into them."""

from __future__ import annotations

from typing import Final

from hlsorigin.codecs.nal import join_length_prefixed, split_annex_b
from tests.codecs.media import box, fixture, samples as mp4_samples
from tests.flv.payloads import FIXTURES

KEY: Final = 0x90
INTER: Final = 0xA0
START, FRAMES, END, FRAMES_X, METADATA, MPEG2_TS, MULTI_VIDEO, MOD_EX = range(8)
CHANNELS, MULTI_AUDIO = 4, 5
ONE, MANY, MANY_CODECS = 0x00, 0x10, 0x20


def ex_video(packet: int, four_cc: bytes, body: bytes = b"", *, flags: int = KEY) -> bytes:
    """A video message of one track."""
    return bytes((flags | packet,)) + four_cc + body


def ex_audio(packet: int, four_cc: bytes, body: bytes = b"") -> bytes:
    """An audio message of one track."""
    return bytes((0x90 | packet,)) + four_cc + body


def one_track(packet: int, four_cc: bytes, number: int, body: bytes, *, flags: int = KEY) -> bytes:
    """A video message with a track number, as OBS sends it for all tracks but the first."""
    return bytes((flags | MULTI_VIDEO, ONE | packet)) + four_cc + bytes((number,)) + body


def sized(number: int, body: bytes) -> bytes:
    """A track of ManyTracks."""
    return bytes((number,)) + len(body).to_bytes(3, "big") + body


def nano(value: int, inner: int, *, flags: int = KEY) -> bytes:
    """First byte and one ModEx packet of TimestampOffsetNano; ``inner`` is the packet type."""
    return bytes((flags | MOD_EX, 2)) + value.to_bytes(3, "big") + bytes((inner,))


def hevc_units() -> list[list[bytes]]:
    """The access units of hevc_open_gop.265, delimiters and parameter sets included."""
    units: list[list[bytes]] = []
    for nal in split_annex_b((FIXTURES / "hevc_open_gop.265").read_bytes()):
        if nal[0] >> 1 & 0x3F == 35:
            units.append([])
        units[-1].append(nal)
    return units


def hevc_body(unit: list[bytes]) -> bytes:
    """An access unit behind 4-byte lengths."""
    return join_length_prefixed(unit)


#: Name of a fixture of fixtures/codecs by FourCC, and the box its SequenceStart holds.
REAL_VIDEO: Final = {
    b"hvc1": ("hevc_main10_hlg.mp4", "hvcC"),
    b"av01": ("av1_aom_pq.mp4", "av1C"),
    b"vp09": ("vp9_profile2_hlg.mp4", "vpcC"),
}


def real_video(four_cc: bytes) -> tuple[bytes, list[bytes]]:
    """Configuration record and samples as ffmpeg wrote them."""
    name, record_box = REAL_VIDEO[four_cc]
    mp4 = fixture(name)
    record = box(mp4, record_box)
    # Enhanced RTMP has no version and flags of the FullBox (FFmpeg's flvenc as well).
    return record[4:] if record_box == "vpcC" else record, mp4_samples(mp4)


def opus_head(ogg: bytes) -> bytes:
    """The first packet of an Ogg Opus file: it ends where the page does (RFC 7845 5.1)."""
    at = ogg.index(b"OpusHead")
    return ogg[at : ogg.index(b"OggS", at)]


def real_audio() -> list[tuple[bytes, bytes]]:
    """SequenceStart and frames of Opus, FLAC, AC-3 and E-AC-3 as messages, by FourCC."""
    heads = {
        b"Opus": opus_head(fixture("opus_stereo.ogg")),
        b"fLaC": b"fLaC" + box(fixture("flac_stereo.mp4"), "dfLa")[4:],
        b"ac-3": b"",
        b"ec-3": b"",
    }
    files = {
        b"Opus": "opus_stereo.mp4",
        b"fLaC": "flac_stereo.mp4",
        b"ac-3": "ac3_stereo.mp4",
        b"ec-3": "eac3_5_1.mp4",
    }
    messages: list[tuple[bytes, bytes]] = []
    for four_cc, name in files.items():
        if heads[four_cc]:
            messages.append((four_cc, ex_audio(START, four_cc, heads[four_cc])))
        frames = mp4_samples(fixture(name))
        messages += [(four_cc, ex_audio(FRAMES, four_cc, frame)) for frame in frames]
    return messages
