"""The CRC of MPEG sections (ISO/IEC 13818-1 annex A): PAT, PMT, SCTE-35."""

from __future__ import annotations

from typing import Final

from hlsorigin.wire.reader import BytesLike


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc32_mpeg2(octets: BytesLike) -> int:
    """Give the CRC of a section: polynomial 0x04C11DB7, start all ones, not reflected.

    Over a whole section with its CRC the result is 0.
    """
    crc = 0xFFFFFFFF
    for byte in octets:
        crc = crc << 8 & 0xFFFFFFFF ^ _CRC_TABLE[crc >> 24 ^ byte]
    return crc
