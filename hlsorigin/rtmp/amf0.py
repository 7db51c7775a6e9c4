"""AMF0 values (Action Message Format, AMF0 specification of 2007-12).

=================  ======================  =====================
marker             AMF0                    Python
=================  ======================  =====================
0x00               number                  float
0x01               boolean                 bool
0x02, 0x0C         string, long string     str
0x03               object                  dict
0x05               null                    None
0x06, 0x0D         undefined, unsupported  ``Amf0Marker``
0x08               ECMA array              ``EcmaArray`` (a dict)
0x0A               strict array            list
0x0B               date                    ``Amf0Date``
0x0F               XML document            ``XmlDocument`` (a str)
0x10               typed object            ``TypedObject`` (a dict)
=================  ======================  =====================

Refused with ``Amf0Error``: references (0x07: no encoder sends one, and they allow cycles), movie
clips and record sets (reserved), AMF3 (0x11). Text that is not UTF-8 gets replacement characters:
encoders put titles in local character sets into onMetaData.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from hlsorigin.errors import Amf0Error, Truncated
from hlsorigin.wire.reader import ByteReader, BytesLike

#: Objects inside objects. onMetaData and connect need three.
MAX_DEPTH: Final = 16
#: Values and properties of one message: one byte of AMF0 must not become one object each without
#: end. A seek index in the onMetaData of a replayed file has some thousands.
MAX_VALUES: Final = 65_536

_MAX_SHORT_STRING: Final = 0xFFFF
_NUMBER: Final = struct.Struct(">Bd")
_DATE: Final = struct.Struct(">Bdh")


class _Type(enum.IntEnum):
    NUMBER = 0x00
    BOOLEAN = 0x01
    STRING = 0x02
    OBJECT = 0x03
    MOVIE_CLIP = 0x04
    NULL = 0x05
    UNDEFINED = 0x06
    REFERENCE = 0x07
    ECMA_ARRAY = 0x08
    OBJECT_END = 0x09
    STRICT_ARRAY = 0x0A
    DATE = 0x0B
    LONG_STRING = 0x0C
    UNSUPPORTED = 0x0D
    RECORD_SET = 0x0E
    XML_DOCUMENT = 0x0F
    TYPED_OBJECT = 0x10
    AVMPLUS = 0x11


class Amf0Marker(enum.Enum):
    """Values that are nothing but their marker."""

    UNDEFINED = _Type.UNDEFINED.value
    UNSUPPORTED = _Type.UNSUPPORTED.value


UNDEFINED: Final = Amf0Marker.UNDEFINED
UNSUPPORTED: Final = Amf0Marker.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Amf0Date:
    """A date (AMF0 2.13)."""

    #: Milliseconds since 1970-01-01 UTC; any double.
    milliseconds: float
    #: Minutes; reserved, "should be set to 0x0000".
    timezone_minutes: int = 0


class XmlDocument(str):
    """Text of an XML document (AMF0 2.17), not parsed."""

    __slots__ = ()


class EcmaArray(dict[str, "Amf0Value"]):
    """An ECMA array (AMF0 2.10): an object that was announced with a count."""


class TypedObject(dict[str, "Amf0Value"]):
    """An object with a class name (AMF0 2.18)."""

    def __init__(self, class_name: str, properties: Mapping[str, Amf0Value]) -> None:
        super().__init__(properties)
        self.class_name = class_name


Amf0Value: TypeAlias = (
    "None | bool | float | str | Amf0Marker | Amf0Date | list[Amf0Value] | dict[str, Amf0Value]"
)


def parse_values(data: BytesLike) -> list[Amf0Value]:
    """Read all values of a message.

    Raises:
        Amf0Error: unknown or refused marker, nested too deep, too many values.
        Truncated: a value goes on past the end.
    """
    reader = Amf0Reader(data)
    values: list[Amf0Value] = []
    while reader.remaining:
        values.append(reader.value())
    return values


class Amf0Reader:
    """Reads values one after the other. Raises as ``parse_values`` does."""

    def __init__(self, data: BytesLike) -> None:
        self._reader = ByteReader(data)
        self._values_left = MAX_VALUES

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._reader.remaining

    def value(self, depth: int = 0) -> Amf0Value:
        """Read one value; ``depth`` is the number of objects around it."""
        self._count(depth)
        reader = self._reader
        marker = reader.u8("AMF0 marker")
        match marker:
            case _Type.NUMBER:
                return reader.f64("AMF0 number")
            case _Type.BOOLEAN:
                return reader.u8("AMF0 boolean") != 0
            case _Type.STRING:
                return self._text(reader.u16("AMF0 string length"))
            case _Type.NULL:
                return None
            case _Type.UNDEFINED | _Type.UNSUPPORTED:
                return Amf0Marker(marker)
            case _Type.LONG_STRING:
                return self._text(reader.u32("AMF0 string length"))
            case _Type.XML_DOCUMENT:
                return XmlDocument(self._text(reader.u32("AMF0 XML length")))
            case _Type.DATE:
                milliseconds = reader.f64("AMF0 date")
                zone = reader.u16("AMF0 time zone")
                return Amf0Date(milliseconds, zone - 0x10000 if zone & 0x8000 else zone)
            case _:
                return self._composite(marker, depth)

    def _composite(self, marker: int, depth: int) -> Amf0Value:
        reader = self._reader
        match marker:
            case _Type.OBJECT:
                return self._properties(depth, end_may_lack=False)
            case _Type.ECMA_ARRAY:
                # Muxers that do not know the number yet write 0, others count wrongly: the end
                # marker decides, not the count.
                reader.u32("AMF0 array count")
                return EcmaArray(self._properties(depth, end_may_lack=True))
            case _Type.STRICT_ARRAY:
                return self._strict_array(depth)
            case _Type.TYPED_OBJECT:
                class_name = self._text(reader.u16("AMF0 class name length"))
                return TypedObject(class_name, self._properties(depth, end_may_lack=False))
            case _Type.AVMPLUS:
                raise Amf0Error("an AMF3 value inside AMF0")
            case _Type.REFERENCE:
                raise Amf0Error("an AMF0 reference")
            case _:
                raise Amf0Error(f"AMF0 marker {marker:#04x}")

    def _properties(self, depth: int, *, end_may_lack: bool) -> dict[str, Amf0Value]:
        reader = self._reader
        properties: dict[str, Amf0Value] = {}
        # An ECMA array that ends with the message instead of an end marker is whole all the same.
        while reader.remaining or not end_may_lack:
            name = self._text(reader.u16("AMF0 property name length"))
            if not name and reader.remaining and self._take_object_end():
                break
            properties[name] = self.value(depth + 1)
        return properties

    def _take_object_end(self) -> bool:
        start = self._reader.position
        if self._reader.u8() == _Type.OBJECT_END:
            return True
        self._reader.position = start
        return False

    def _strict_array(self, depth: int) -> list[Amf0Value]:
        count = self._reader.u32("AMF0 array count")
        if count > self._reader.remaining:
            raise Truncated(count, self._reader.remaining, "AMF0 strict array")
        if count > self._values_left:
            raise Amf0Error(f"an AMF0 array of {count} values")
        return [self.value(depth + 1) for _ in range(count)]

    def _text(self, length_bytes: int) -> str:
        return self._reader.take(length_bytes, "AMF0 string").decode("utf-8", "replace")

    def _count(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Amf0Error(f"AMF0 values nested more than {MAX_DEPTH} deep")
        self._values_left -= 1
        if self._values_left < 0:
            raise Amf0Error(f"more than {MAX_VALUES} AMF0 values in a message")


def serialize_values(*values: Amf0Value) -> bytes:
    """Write values one after the other.

    Raises:
        ValueError: a property name of more than 65 535 bytes.
    """
    out = bytearray()
    for value in values:
        _write(out, value)
    return bytes(out)


def _write(out: bytearray, value: Amf0Value) -> None:
    match value:
        case None:
            out.append(_Type.NULL)
        case bool():
            out += bytes((_Type.BOOLEAN, value))
        case int() | float():
            out += _NUMBER.pack(_Type.NUMBER, value)
        case str():
            _write_text(out, value)
        case Amf0Marker():
            out.append(value.value)
        case Amf0Date():
            out += _DATE.pack(_Type.DATE, value.milliseconds, value.timezone_minutes)
        case list():
            out.append(_Type.STRICT_ARRAY)
            out += len(value).to_bytes(4, "big")
            for element in value:
                _write(out, element)
        case dict():
            _write_object(out, value)


def _write_text(out: bytearray, text: str) -> None:
    encoded = text.encode("utf-8", "replace")
    is_xml = isinstance(text, XmlDocument)
    if is_xml or len(encoded) > _MAX_SHORT_STRING:
        out.append(_Type.XML_DOCUMENT if is_xml else _Type.LONG_STRING)
        out += len(encoded).to_bytes(4, "big")
    else:
        out.append(_Type.STRING)
        out += len(encoded).to_bytes(2, "big")
    out += encoded


def _write_object(out: bytearray, properties: dict[str, Amf0Value]) -> None:
    if isinstance(properties, EcmaArray):
        out.append(_Type.ECMA_ARRAY)
        out += len(properties).to_bytes(4, "big")
    elif isinstance(properties, TypedObject):
        out.append(_Type.TYPED_OBJECT)
        out += _name(properties.class_name)
    else:
        out.append(_Type.OBJECT)
    for name, value in properties.items():
        out += _name(name)
        _write(out, value)
    out += bytes((0, 0, _Type.OBJECT_END))


def _name(text: str) -> bytes:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > _MAX_SHORT_STRING:
        raise ValueError("an AMF0 property name of more than 65 535 bytes")
    return len(encoded).to_bytes(2, "big") + encoded
