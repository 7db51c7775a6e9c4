from __future__ import annotations

from hlsorigin.wire.crc import crc32_mpeg2


def test_check_value() -> None:
    """Catalogue of parametrised CRC algorithms: CRC-32/MPEG-2 of "123456789" is 0x0376E6E7."""
    assert crc32_mpeg2(b"123456789") == 0x0376E6E7
