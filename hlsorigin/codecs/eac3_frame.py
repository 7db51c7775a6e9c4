"""E-AC-3 syncframes and their bit stream information (ETSI TS 102 366 E.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlsorigin.errors import CodecError, PeerError, Truncated
from hlsorigin.wire.bits import BitReader

SYNCWORD: Final = b"\x0b\x77"
SAMPLES_PER_BLOCK: Final = 256
SAMPLE_RATES: Final = (48_000, 44_100, 32_000)
#: AC-3 has 8 and below.
EAC3_BSIDS: Final = range(11, 17)
#: Eight independent substreams with eight dependent ones each, of six frames of a block (E.1.3.1).
MAX_SYNCFRAMES: Final = 8 * 9 * 6
#: Enough for what AC-3 and E-AC-3 have before they differ.
HEAD_BYTES: Final = 8

_BLOCKS: Final = (1, 2, 3, 6)
#: BSI is at the head of a frame, with 64 bytes of addbsi at most.
_BSI_BYTES: Final = 192

#: strmtyp (E.1.3.1.1).
INDEPENDENT: Final = 0
DEPENDENT: Final = 1
_CONVERTED: Final = 2


@dataclass(frozen=True, slots=True)
class Eac3Frame:
    """The fixed head of an E-AC-3 syncframe."""

    data: bytes  # as much as holds BSI
    frame_bytes: int
    stream_type: int
    substream_id: int
    rate_code: int
    sample_rate: int
    blocks: int
    acmod: int
    has_lfe: bool
    bsid: int

    @property
    def is_first(self) -> bool:
        """It begins an access unit, or a part of one that has fewer than six blocks."""
        return self.stream_type != DEPENDENT and self.substream_id == 0


@dataclass(frozen=True, slots=True)
class Bsi:
    """What is needed of the bit stream information."""

    bsmod: int = 0
    channel_map: int = 0
    joc_complexity: int | None = None


def walk_syncframes(data: bytes) -> list[Eac3Frame]:
    """Find the syncframes of a payload.

    Raises:
        Truncated: it is empty, or ends in a frame.
        CodecError: no syncword where one should be, a reserved value, or too many.
    """
    frames: list[Eac3Frame] = []
    position = 0
    while position < len(data):
        if len(frames) == MAX_SYNCFRAMES:
            raise CodecError(f"more than {MAX_SYNCFRAMES} syncframes in one payload")
        frame = _read_eac3_head(data[position : position + _BSI_BYTES])
        position += frame.frame_bytes
        if position > len(data):
            had = len(data) - position + frame.frame_bytes
            raise Truncated(frame.frame_bytes, had, "E-AC-3 syncframe")
        frames.append(frame)
    if not frames:
        raise Truncated(HEAD_BYTES, 0, "E-AC-3 syncframe")
    return frames


def _read_eac3_head(data: bytes) -> Eac3Frame:
    bits = BitReader(data)
    if bits.u(16, "E-AC-3 syncword") != int.from_bytes(SYNCWORD, "big"):
        raise CodecError("no E-AC-3 syncword where a syncframe should begin")
    stream_type, substream_id = bits.u(2, "strmtyp"), bits.u(3, "substreamid")
    frame_bytes = 2 * (bits.u(11, "frmsiz") + 1)
    rate_code, blocks_code = bits.u(2, "fscod"), bits.u(2, "numblkscod or fscod2")
    if stream_type == 3 or (rate_code == 3 and blocks_code == 3) or frame_bytes < HEAD_BYTES:
        raise CodecError(f"reserved value in E-AC-3 syncframe {data[:6].hex()}")
    blocks = 6 if rate_code == 3 else _BLOCKS[blocks_code]
    rate = SAMPLE_RATES[blocks_code] // 2 if rate_code == 3 else SAMPLE_RATES[rate_code]
    acmod, has_lfe, bsid = bits.u(3, "acmod"), bits.flag("lfeon"), bits.u(5, "bsid")
    if bsid not in EAC3_BSIDS:
        raise CodecError(f"bsid {bsid} in E-AC-3")
    return Eac3Frame(
        data[: min(_BSI_BYTES, frame_bytes)],
        *(frame_bytes, stream_type, substream_id, rate_code, rate, blocks, acmod, has_lfe, bsid),
    )


def read_bsi(frame: Eac3Frame) -> Bsi:
    """Read the bit stream information behind bsid (table E.1.2); what is damaged is absent."""
    bits = BitReader(frame.data)
    bits.u(16 + 2 + 3 + 11 + 4 + 3 + 1 + 5)
    bsmod, channel_map = 0, 0
    try:
        for _ in range(2 if frame.acmod == 0 else 1):
            bits.u(5, "dialnorm")
            _skip_if_set(bits, 8)
        if frame.stream_type == DEPENDENT and bits.flag("chanmape"):
            channel_map = bits.u(16, "chanmap")
        if bits.flag("mixmdate"):
            _skip_mixing(bits, frame)
        if bits.flag("infomdate"):
            bsmod = bits.u(3, "bsmod")
            _skip_information(bits, frame)
        if frame.stream_type == INDEPENDENT and frame.blocks != 6:
            bits.flag("convsync")
        if frame.stream_type == _CONVERTED and (frame.blocks == 6 or bits.flag("blkid")):
            bits.u(6, "frmsizecod")
        return Bsi(bsmod, channel_map, _read_joc(bits))
    except PeerError:
        return Bsi(bsmod, channel_map)


def _read_joc(bits: BitReader) -> int | None:
    """Read addbsi for joint object coding (ETSI TS 103 420 8.3)."""
    if not bits.flag("addbsie"):
        return None
    size = bits.u(6, "addbsil") + 1
    if size < 2 or not bits.u(8, "flag_ec3_extension_type_a") & 1:
        return None
    return bits.u(8, "complexity_index_type_a") or None


def _skip_if_set(bits: BitReader, count: int) -> None:
    if bits.flag():
        bits.u(count)


def _skip_mixing(bits: BitReader, frame: Eac3Frame) -> None:
    """Pass over mixing metadata."""
    acmod = frame.acmod
    if acmod > 2:
        bits.u(2, "dmixmod")
        bits.u(6 if acmod & 1 else 0, "centre mix levels")
    bits.u(6 if acmod & 4 else 0, "surround mix levels")
    if frame.has_lfe:
        _skip_if_set(bits, 5)
    if frame.stream_type != INDEPENDENT:
        return
    for _ in range(3 if acmod == 0 else 2):
        _skip_if_set(bits, 6)  # pgmscl, pgmscl2, extpgmscl
    mixdef = bits.u(2, "mixdef")
    if mixdef == 3:
        bits.u(8 * (bits.u(5, "mixdeflen") + 2), "mixdata")
    else:
        bits.u((0, 5, 12)[mixdef], "mixdata")
    for _ in range(max(0, 2 - acmod)):
        _skip_if_set(bits, 14)  # paninfo of mono and of each half of dual mono
    if bits.flag("frmmixcfginfoe"):
        if frame.blocks == 1:
            bits.u(5, "blkmixcfginfo")
        else:
            for _ in range(frame.blocks):
                _skip_if_set(bits, 5)


def _skip_information(bits: BitReader, frame: Eac3Frame) -> None:
    """Pass over informational metadata behind bsmod."""
    bits.u(2, "copyrightb, origbs")
    if frame.acmod == 2:
        bits.u(4, "dsurmod, dheadphonmod")
    if frame.acmod >= 6:
        bits.u(2, "dsurexmod")
    for _ in range(2 if frame.acmod == 0 else 1):
        _skip_if_set(bits, 8)
    if frame.rate_code < 3:
        bits.flag("sourcefscod")
