"""Samples of SCTE 35 itself (clause 14), and of encoders, as open decoders test with them."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given, strategies as st

from hlsorigin.codecs.scte35 import (
    SpliceCommand,
    SpliceEvent,
    SpliceInfo,
    SpliceKind,
    decode_text,
    splice_cancel,
    splice_insert,
)
from hlsorigin.errors import CodecError
from hlsorigin.wire.crc import crc32_mpeg2

OUT, IN, OTHER = SpliceKind.OUT, SpliceKind.IN, SpliceKind.OTHER

#: 14.1: time_signal, provider placement opportunity start.
PO_START = "/DA0AAAAAAAA///wBQb+cr0AUAAeAhxDVUVJSAAAjn/PAAGlmbAICAAAAAAsoKGKNAIAmsnRfg=="
#: 14.2: splice_insert, out of network for 60.293 s.
INSERT_OUT = "/DAvAAAAAAAA///wFAVIAACPf+/+c2nALv4AUsz1AAAAAAAKAAhDVUVJAAABNWLbowo="
#: 14.3: time_signal, placement opportunity end.
PO_END = "/DAvAAAAAAAA///wBQb+dGKQoAAZAhdDVUVJSAAAjn+fCAgAAAAALKChijUCAKnMZ1g="
#: 14.4: time_signal, one programme ends and the next begins.
PROGRAM = (
    "/DBIAAAAAAAA///wBQb+ek2ItgAyAhdDVUVJSAAAGH+fCAgAAAAALMvDRBEAAAIXQ1VFSUgAABl/nwgIAAAAACyk26AQ"
    "AACZcuND"
)
#: splice_command_length 0xFFF, provider advertisement end.
LEGACY = "/DA8AAAAAAAAAP///wb+06ACpQAmAiRDVUVJAACcHX//AACky4AMEERJU0NZTVdGMDQ1MjAwMEgxAQEMm4c0"
#: pts_adjustment 0x52DBE600, alignment stuffing.
ADJUSTED = "/DA0AABS2+YAAACgFAUALJGCf+/+MSwPcX4AUmXAAAAAAAAMAQpDVUVJRp8xMjEq3pnIPCi6lw=="
NULL = "/DARAAAAAAAAAP/wAAAAAHpPv/8="
IMMEDIATE_IN = "/DAeAAAAAAAAAP///wViAA/nf18ACQAAAAAskJv+YPtE"
#: A descriptor of somebody else's before a segmentation_descriptor.
FOREIGN = (
    "/DBPAAAAAAAAAP/wBQb/Gq9LggA5AAVTQVBTCwIwQ1VFSf////9//wAAFI4PDxx1cm46bmJjdW5pLmNvbTpicmM6NDk5"
    "ODY2NDM0MQoBbM98zw=="
)
BAD_CRC = "/DA4AAAAAAAAAP/wFAUABDEAf+//mWEhzP4Azf5gAQAAAAATAhFDVUVJAAAAAX+/AQIwNAEAAKeYO3Q="


@pytest.mark.parametrize(
    ("text", "info"),
    [
        (PO_START, SpliceInfo(6, 0x072BD0050, (
            SpliceEvent(0x4800008E, OUT, duration_90k=0x0001A599B0, segmentation_type=0x34),))),
        (INSERT_OUT, SpliceInfo(5, 0x07369C02E, (
            SpliceEvent(0x4800008F, OUT, duration_90k=0x00052CCF5, auto_return=True),))),
        (PO_END, SpliceInfo(6, 0x0746290A0, (
            SpliceEvent(0x4800008E, IN, segmentation_type=0x35),))),
        (PROGRAM, SpliceInfo(6, 0x07A4D88B6, (
            SpliceEvent(0x48000018, OTHER, segmentation_type=0x11),
            SpliceEvent(0x48000019, OTHER, segmentation_type=0x10)))),
        (LEGACY, SpliceInfo(6, 3550479013, (
            SpliceEvent(39965, IN, duration_90k=10_800_000, segmentation_type=0x31),))),
        (ADJUSTED, SpliceInfo(5, 0x312C0F71 + 0x52DBE600, (
            SpliceEvent(0x2C9182, OUT, duration_90k=5_400_000),))),
        (NULL, SpliceInfo(0, None, ())),
        (IMMEDIATE_IN, SpliceInfo(5, None, (SpliceEvent(1644171239, IN),))),
        (FOREIGN, SpliceInfo(6, 4742663042, (
            SpliceEvent(0xFFFFFFFF, IN, duration_90k=1347087, segmentation_type=0x31),))),
    ],
)  # fmt: skip
def test_samples(text: str, info: SpliceInfo) -> None:
    assert SpliceInfo.parse(decode_text(text)) == info


def test_hexadecimal_and_base64_are_the_same() -> None:
    octets = base64.b64decode(PO_START)
    for text in (PO_START, PO_START.rstrip("="), "0x" + octets.hex(), octets.hex().upper()):
        assert decode_text(text) == octets
    assert decode_text(f" {PO_START[:20]}\n{PO_START[20:]} ") == octets


@pytest.mark.parametrize("text", ["%%%", "0xFCzz", "FC3", "/DA0=AAA", "é", "A" * 9000])
def test_neither_base64_nor_hexadecimal(text: str) -> None:
    with pytest.raises(CodecError):
        decode_text(text)


def test_crc() -> None:
    with pytest.raises(CodecError, match="CRC"):
        SpliceInfo.parse(decode_text(BAD_CRC))


@pytest.mark.parametrize("text", [PO_START, INSERT_OUT, PROGRAM, LEGACY, FOREIGN])
def test_every_prefix_is_refused(text: str) -> None:
    octets = decode_text(text)
    for size in range(len(octets)):
        with pytest.raises(CodecError):
            SpliceInfo.parse(octets[:size])


def test_mutations_raise_only_codec_error() -> None:
    rng = random.Random(0)
    samples = [decode_text(each) for each in (PO_START, INSERT_OUT, PROGRAM, LEGACY, ADJUSTED)]
    for _ in range(4000):
        octets = bytearray(rng.choice(samples))
        for _ in range(rng.randrange(1, 4)):
            octets[rng.randrange(3, len(octets))] = rng.randrange(256)
        octets[-4:] = crc32_mpeg2(octets[:-4]).to_bytes(4, "big")  # the rest is looked at
        try:
            SpliceInfo.parse(bytes(octets))
        except CodecError:
            pass


def test_encrypted_sections_keep_their_secret() -> None:
    octets = bytearray(decode_text(INSERT_OUT))
    octets[4] |= 0x80
    octets[-4:] = crc32_mpeg2(octets[:-4]).to_bytes(4, "big")
    assert SpliceInfo.parse(bytes(octets)) == SpliceInfo(None, None, ())


def test_made_sections_byte_by_byte() -> None:
    """The same bytes were read by threefive 3: event 1234, out at once, 30 s, auto return; in."""
    out = splice_insert(1234, is_out=True, duration_90k=2_700_000)
    assert out.hex() == ("fc3020000000000000fffff00f05000004d27ffffe002932e0000000000000579fca37")
    back = splice_insert(1234, is_out=False)
    assert back.hex() == "fc301b000000000000fffff00a05000004d27f5f00000000000008bf47a5"


@given(
    st.integers(0, (1 << 32) - 1), st.booleans(), st.none() | st.integers(0, (1 << 33) - 1),
    st.booleans(),
)  # fmt: skip
def test_made_sections_are_read(
    event_id: int, is_out: bool, duration: int | None, auto_return: bool
) -> None:
    section = splice_insert(event_id, is_out=is_out, duration_90k=duration, auto_return=auto_return)
    event = SpliceEvent(
        event_id,
        OUT if is_out else IN,
        duration_90k=duration,
        auto_return=auto_return and duration is not None,
    )
    assert SpliceInfo.parse(section) == SpliceInfo(SpliceCommand.INSERT, None, (event,))
    cancelled = SpliceInfo.parse(splice_cancel(event_id)).events
    assert cancelled == (SpliceEvent(event_id, OTHER, is_cancelled=True),)
