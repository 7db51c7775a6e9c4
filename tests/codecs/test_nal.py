from __future__ import annotations

import random

import pytest
from hypothesis import given, strategies as st

from hlsorigin.codecs import nal
from hlsorigin.errors import CodecError
from tests.codecs.bitstreams import escape

#: What may stand in a NAL unit: escaped, and the last byte is not zero (H.264 7.4.1).
NAL_UNITS = st.lists(
    st.binary(min_size=1, max_size=60).map(lambda raw: escape(b"\x65" + raw) + b"\x80"), max_size=6
)


@pytest.mark.parametrize(
    ("length_size", "data"),
    [
        (1, "02 6588  03 419a00"),
        (2, "0002 6588  0003 419a00"),
        (3, "000002 6588  000003 419a00"),
        (4, "00000002 6588  00000003 419a00"),
    ],
)
def test_every_length_size_gives_the_same_units(length_size: int, data: str) -> None:
    """14496-15 5.3.4.2: the length field has lengthSizeMinusOne + 1 bytes."""
    wire = bytes.fromhex(data)
    assert nal.split_length_prefixed(wire, length_size) == [b"\x65\x88", b"\x41\x9a\x00"]
    assert nal.to_4_byte_lengths(wire, length_size) == bytes.fromhex(
        "00000002 6588 00000003 419a00"
    )


def test_spans_tell_type_and_place_behind_an_offset() -> None:
    data = b"HEAD" + bytes.fromhex("00000002 6588 00000000 00000001 41")
    assert nal.scan_length_prefixed(data, 4, 4) == [(5, 8, 10), (0, 14, 14), (1, 18, 19)]
    assert nal.split_length_prefixed(data[4:], 4) == [b"\x65\x88", b"\x41"]


@pytest.mark.parametrize(
    "data", ["00000003 6588", "00000001 65 0000", "ffffffff 65", "00000001", "0000"]
)
def test_length_past_the_end(data: str) -> None:
    with pytest.raises(CodecError):
        nal.scan_length_prefixed(bytes.fromhex(data), 4)


@pytest.mark.parametrize("length_size", [0, 5, -1])
def test_impossible_length_size(length_size: int) -> None:
    with pytest.raises(CodecError):
        nal.scan_length_prefixed(b"\x00", length_size)


def test_number_of_units_is_bounded() -> None:
    unit = b"\x00\x00\x00\x01\x41"
    assert len(nal.scan_length_prefixed(unit * nal.MAX_NAL_UNITS, 4)) == nal.MAX_NAL_UNITS
    with pytest.raises(CodecError):
        nal.scan_length_prefixed(unit * (nal.MAX_NAL_UNITS + 1), 4)
    with pytest.raises(CodecError):
        nal.scan_length_prefixed(bytes(8_000_000), 4)
    with pytest.raises(CodecError):
        nal.split_annex_b(b"\x00\x00\x01\x41" * (nal.MAX_NAL_UNITS + 1))


def test_annex_b_takes_both_start_codes_and_trailing_zeros() -> None:
    """B.1: leading_zero_8bits, 3-byte or 4-byte start codes, trailing_zero_8bits."""
    stream = bytes.fromhex("0000 00000001 0910 000001 6742 00000001 68ce 0000 000001 6588 0000")
    assert nal.split_annex_b(stream) == [b"\x09\x10", b"\x67\x42", b"\x68\xce", b"\x65\x88"]
    assert nal.split_annex_b(b"") == []


def test_annex_b_without_start_code() -> None:
    with pytest.raises(CodecError):
        nal.split_annex_b(b"\x65\x88\x00\x00\x01\x41")


@given(NAL_UNITS)
def test_joined_units_come_apart_again(units: list[bytes]) -> None:
    assert nal.split_annex_b(nal.join_annex_b(units)) == units
    assert nal.split_length_prefixed(nal.join_length_prefixed(units), 4) == units


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4]), max_size=80).map(bytes))
def test_unescape_undoes_escape(rbsp: bytes) -> None:
    """7.4.1: an emulation_prevention_three_byte stands between two zeros and 0 to 3."""
    assert nal.unescape(escape(rbsp)) == rbsp


@pytest.mark.parametrize(
    ("head", "expected"), [("000001", True), ("00000001", True), ("000002", False), ("00", False)]
)
def test_start_code_is_seen(head: str, expected: bool) -> None:
    assert nal.starts_with_start_code(b"\xff" + bytes.fromhex(head), 1) is expected


def test_only_documented_errors() -> None:
    dice = random.Random(1)
    for _ in range(3000):
        data = bytes(dice.choices((0, 0, 0, 1, 2, 3, 0x65, 0xFF), k=dice.randrange(40)))
        for length_size in (1, 2, 4):
            try:
                units = nal.split_length_prefixed(data, length_size)
            except CodecError:
                continue
            assert sum(map(len, units)) <= len(data)
        try:
            nal.split_annex_b(data)
        except CodecError:
            continue
