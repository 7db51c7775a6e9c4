"""A strict reader of ID3v2.4 tags for tests, written from the ID3 specification; shares no code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """One frame: ``TXXX`` (description, text) or ``PRIV`` (owner, bytes)."""

    id: str
    name: str
    value: str | bytes


def read_tag(octets: bytes) -> list[Frame]:
    """Take a tag apart; it must be nothing but whole frames of the kinds above."""
    assert octets[:3] == b"ID3", "file identifier"
    assert octets[3:5] == b"\x04\x00", "version 2.4.0"
    assert octets[5] == 0, "flags: unsynchronisation, extended header, footer"
    assert size_of(octets[6:10]) == len(octets) - 10, "tag size"
    frames = []
    position = 10
    while position < len(octets):
        frame_id = octets[position : position + 4].decode("ascii")
        size = size_of(octets[position + 4 : position + 8])
        assert octets[position + 8 : position + 10] == b"\x00\x00", "frame flags"
        body = octets[position + 10 : position + 10 + size]
        assert len(body) == size >= 1, "frame cut short or empty"
        frames.append(_read_frame(frame_id, body))
        position += 10 + size
    assert frames, "a tag holds at least one frame"
    return frames


def size_of(octets: bytes) -> int:
    """Read a syncsafe integer: four times seven bits."""
    assert len(octets) == 4 and max(octets) < 0x80, "syncsafe"
    value = 0
    for byte in octets:
        value = value * 128 + byte
    return value


def _read_frame(frame_id: str, body: bytes) -> Frame:
    if frame_id == "TXXX":
        assert body[0] == 3, "text encoding: UTF-8"
        description, _, text = body[1:].partition(b"\x00")
        assert b"\x00" not in text, "one text"
        return Frame(frame_id, description.decode(), text.decode())
    assert frame_id == "PRIV", f"frame {frame_id}"
    owner, separator, data = body.partition(b"\x00")
    assert owner and separator, "owner identifier"
    return Frame(frame_id, owner.decode("latin-1"), data)
