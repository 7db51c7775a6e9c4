from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from hlsorigin.codecs.id3 import check_tag, private_frame, tag, text_frame
from hlsorigin.errors import CodecError
from tests.support.id3_reader import Frame, read_tag


def test_text_byte_by_byte() -> None:
    """ID3v2.4.0 structure 3.1, 4; native frames 4.2.6: TXXX, encoding 3 is UTF-8."""
    octets = tag(text_frame("d", "é"))
    assert octets == (
        b"ID3\x04\x00\x00" b"\x00\x00\x00\x0f"
        b"TXXX" b"\x00\x00\x00\x05" b"\x00\x00" b"\x03" b"d\x00" b"\xc3\xa9"
    )  # fmt: skip


def test_private_byte_by_byte() -> None:
    octets = tag(private_frame("com.example", b"\x00\xff"))
    assert octets == (
        b"ID3\x04\x00\x00" b"\x00\x00\x00\x18"
        b"PRIV" b"\x00\x00\x00\x0e" b"\x00\x00" b"com.example\x00" b"\x00\xff"
    )  # fmt: skip


def test_sizes_are_syncsafe() -> None:
    """Seven bits a byte: 300 is 2 * 128 + 44."""
    octets = tag(text_frame("", "x" * 298))
    assert octets[6:10] == bytes((0, 0, 2, 310 - 256))
    assert octets[14:18] == bytes((0, 0, 2, 44))
    assert read_tag(octets) == [Frame("TXXX", "", "x" * 298)]


@given(
    st.lists(st.tuples(st.text(max_size=9), st.text(max_size=300)), min_size=1, max_size=4),
    st.binary(max_size=400),
)
def test_an_independent_reader_reads_it(texts: list[tuple[str, str]], data: bytes) -> None:
    frames = [text_frame(*each) for each in texts]
    octets = tag(*frames, private_frame("urn:x", data))
    check_tag(octets)
    *found, private = read_tag(octets)
    plain = [tuple(part.replace("\x00", " ") for part in each) for each in texts]
    assert [(each.name, each.value) for each in found] == plain
    assert private == Frame("PRIV", "urn:x", data)


def test_text_that_utf_8_has_not() -> None:
    assert read_tag(tag(text_frame("d", "a\ud800b"))) == [Frame("TXXX", "d", "a?b")]


@pytest.mark.parametrize("owner", ["", "a\x00b", "日本"])
def test_bad_owner(owner: str) -> None:
    with pytest.raises(CodecError, match="owner"):
        private_frame(owner, b"")


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (b"", "not an ID3v2 tag"),
        (b"TAG" + bytes(20), "not an ID3v2 tag"),
        (b"ID3\x02\x00\x00\x00\x00\x00\x00", "versions 2.3 and 2.4"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x80" + bytes(128), "not syncsafe"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x05abcd", "says 15 bytes, the tag has 14"),
        (b"ID3\x04\x00\x00\x00\x00\x00\x03abcd", "says 13 bytes, the tag has 14"),
    ],
)
def test_not_a_tag(octets: bytes, message: str) -> None:
    with pytest.raises(CodecError, match=message):
        check_tag(octets)
