"""AMF0 against bytes written by hand from the AMF0 specification."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from hlsorigin.errors import Amf0Error, Truncated
from hlsorigin.rtmp.amf0 import (
    MAX_DEPTH,
    MAX_VALUES,
    UNDEFINED,
    UNSUPPORTED,
    Amf0Date,
    Amf0Value,
    EcmaArray,
    TypedObject,
    XmlDocument,
    parse_values,
    serialize_values,
)

CASES: Mapping[str, tuple[str, Amf0Value]] = {
    "number": ("00 3ff8000000000000", 1.5),
    "true": ("01 01", True),
    "false": ("01 00", False),
    "string": ("02 0003 6c6976", "liv"),
    "string in UTF-8": ("02 0002 c3a9", "\u00e9"),
    "object": ("03 0001 61 05 0001 62 0101 000009", {"a": None, "b": True}),
    "empty object": ("03 000009", {}),
    "null": ("05", None),
    "undefined": ("06", UNDEFINED),
    "ECMA array": ("08 00000001 0001 61 0100 000009", EcmaArray(a=False)),
    "strict array": ("0a 00000002 05 06", [None, UNDEFINED]),
    "date": ("0b 4270000000000000 ff88", Amf0Date(float(2**40), -120)),
    "unsupported": ("0d", UNSUPPORTED),
    "XML document": ("0f 00000004 3c612f3e", XmlDocument("<a/>")),
    "typed object": ("10 0003 466f6f 0001 61 05 000009", TypedObject("Foo", {"a": None})),
    "long string": ("0c 00010000" + "61" * 65536, "a" * 65536),
}


@pytest.mark.parametrize("name", CASES)
def test_parse(name: str) -> None:
    wire, value = CASES[name]
    (parsed,) = parse_values(bytes.fromhex(wire))
    assert parsed == value
    assert type(parsed) is type(value)
    if isinstance(value, TypedObject) and isinstance(parsed, TypedObject):
        assert parsed.class_name == value.class_name


@pytest.mark.parametrize("name", CASES)
def test_serialize(name: str) -> None:
    wire, value = CASES[name]
    assert serialize_values(value) == bytes.fromhex(wire)


@pytest.mark.parametrize("name", set(CASES) - {"long string", "ECMA array"})
def test_every_prefix_is_truncated(name: str) -> None:
    wire = bytes.fromhex(CASES[name][0])
    for end in range(1, len(wire)):
        with pytest.raises(Truncated):
            parse_values(wire[:end])


@pytest.mark.parametrize("count", [0, 1, 2, 0xFFFFFFFF])
def test_ecma_array_count_is_unreliable(count: int) -> None:
    """The count says nothing: muxers write 0 or a wrong number; the end marker decides."""
    wire = b"\x08" + count.to_bytes(4, "big") + bytes.fromhex("000161 0100 000162 05 000009 05")
    assert parse_values(wire) == [{"a": False, "b": None}, None]


def test_ecma_array_may_end_with_the_message() -> None:
    assert parse_values(bytes.fromhex("08 00000001 0001 61 05")) == [{"a": None}]


def test_property_with_an_empty_name_is_a_property() -> None:
    assert parse_values(bytes.fromhex("03 0000 05 000009")) == [{"": None}]


def test_text_in_another_character_set_is_replaced() -> None:
    """A title in GBK must not end the session."""
    (text,) = parse_values(b"\x02\x00\x04" + "\u76f4\u64ad".encode("gbk"))
    assert isinstance(text, str) and "\ufffd" in text


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param("07 0000", id="reference"),
        pytest.param("11 0a0b01", id="avmplus, AMF3 inside"),
        pytest.param("04", id="movie clip"),
        pytest.param("0e", id="record set"),
        pytest.param("09", id="object end outside an object"),
        pytest.param("ff", id="unknown"),
        pytest.param("03 0001 61 07 0000 000009", id="reference inside an object"),
    ],
)
def test_refused(wire: str) -> None:
    with pytest.raises(Amf0Error):
        parse_values(bytes.fromhex(wire))


def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> bytes:
        return bytes.fromhex("0a 00000001") * depth + b"\x05"

    parse_values(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 100_000):
        with pytest.raises(Amf0Error, match="nested"):
            parse_values(nested(depth))


def test_number_of_values_is_bounded() -> None:
    with pytest.raises(Amf0Error):
        parse_values(b"\x05" * (MAX_VALUES + 1))
    with pytest.raises(Amf0Error):
        parse_values(b"\x0a" + MAX_VALUES.to_bytes(4, "big") + b"\x05" * MAX_VALUES)


def test_lengths_are_checked_before_anything_is_allocated() -> None:
    for wire in ("0c ffffffff 61", "0a ffffffff 05", "0f ffffffff"):
        with pytest.raises(Truncated):
            parse_values(bytes.fromhex(wire))


def test_long_property_name_is_no_amf0() -> None:
    with pytest.raises(ValueError, match="property name"):
        serialize_values({"a" * 65536: None})


_VALUES: st.SearchStrategy[Amf0Value] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4)
        | st.dictionaries(st.text(max_size=8), inner, max_size=4).map(EcmaArray)
    ),
    max_leaves=12,
)


@given(st.lists(_VALUES, max_size=4))
def test_round_trip(values: list[Amf0Value]) -> None:
    assert parse_values(serialize_values(*values)) == values


@given(st.binary(max_size=200))
def test_any_bytes(wire: bytes) -> None:
    try:
        parse_values(wire)
    except (Amf0Error, Truncated):
        pass


def test_mutations() -> None:
    chance = random.Random(0)
    seed = serialize_values(*(value for name, (_, value) in CASES.items() if name != "long string"))
    for _ in range(3000):
        wire = bytearray(seed)
        for _ in range(chance.randrange(1, 4)):
            wire[chance.randrange(len(wire))] = chance.randrange(256)
        start = chance.randrange(len(wire))
        try:
            parse_values(wire[: chance.randrange(start, len(wire))])
        except (Amf0Error, Truncated):
            pass
