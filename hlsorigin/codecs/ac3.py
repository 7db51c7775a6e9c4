"""AC-3 and E-AC-3: syncframes (ETSI TS 102 366 4.3, 4.4, E.1), ``dac3`` and ``dec3`` boxes (F).

``eac3_frame`` reads the syncframes of E-AC-3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hlsorigin.codecs.eac3_frame import (
    DEPENDENT,
    EAC3_BSIDS,
    HEAD_BYTES,
    SAMPLE_RATES,
    SAMPLES_PER_BLOCK,
    SYNCWORD,
    Bsi,
    Eac3Frame,
    read_bsi,
    walk_syncframes,
)
from hlsorigin.errors import CodecError, Truncated, Unsupported
from hlsorigin.wire.bits import BitReader, BitWriter

#: A syncframe of AC-3 has six blocks, and so has an access unit of E-AC-3.
SAMPLES_PER_ACCESS_UNIT: Final = 6 * SAMPLES_PER_BLOCK

_BITRATES_KBPS: Final = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160),
    *(192, 224, 256, 320, 384, 448, 512, 576, 640),
)
#: Channels by acmod, without the LFE (table 4.3).
_CHANNELS: Final = (2, 1, 2, 3, 3, 4, 4, 5)
_MAX_AC3_BSID: Final = 8
#: (bit of chanmap, bit of chan_loc, channels): tables E.1.4 and F.6.1. The bit numbers of
#: chanmap count from the most significant one, those of chan_loc from the least.
_LOCATIONS: Final = (
    *((5, 0, 2), (6, 1, 2), (7, 2, 1), (8, 3, 1), (9, 4, 2)),
    *((10, 5, 2), (11, 6, 2), (12, 7, 1), (14, 8, 1)),
)


@dataclass(frozen=True, slots=True)
class Ac3Config:
    """What a decoder of AC-3 sets up; all of it stands in the ``dac3`` box."""

    #: fscod: 0 48 kHz, 1 44.1 kHz, 2 32 kHz.
    rate_code: int
    bsid: int
    bsmod: int
    acmod: int
    has_lfe: bool
    #: frmsizecod without its lowest bit.
    bit_rate_code: int

    @property
    def codec_string(self) -> str:
        """``ac-3`` (ETSI TS 102 366 F.3)."""
        return "ac-3"

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return SAMPLE_RATES[self.rate_code]

    @property
    def clock_rate_hz(self) -> int:
        """Samples per second that frames are counted in."""
        return self.sample_rate

    @property
    def channels(self) -> int:
        """The LFE counts."""
        return _CHANNELS[self.acmod] + self.has_lfe

    @property
    def bitrate_kbps(self) -> int:
        """As the frame size tells it."""
        return _BITRATES_KBPS[self.bit_rate_code]

    @property
    def samples_per_frame(self) -> int:
        """1536."""
        return SAMPLES_PER_ACCESS_UNIT

    @property
    def hls_channels(self) -> str:
        """CHANNELS of EXT-X-MEDIA (RFC 8216bis 4.4.6.1)."""
        return str(self.channels)

    def frame_samples(self, data: bytes) -> int:
        """Count the samples of a syncframe: always 1536."""
        return SAMPLES_PER_ACCESS_UNIT

    def serialize_record(self) -> bytes:
        """Write AC3SpecificBox without its header (F.4)."""
        bits = BitWriter().u(2, self.rate_code).u(5, self.bsid).u(3, self.bsmod)
        bits.u(3, self.acmod).u(1, self.has_lfe).u(5, self.bit_rate_code)
        return bytes(bits.u(5, 0))


@dataclass(frozen=True, slots=True)
class Eac3Substream:
    """An independent substream and what its dependent ones add."""

    #: fscod; 3 for the half rates.
    rate_code: int
    bsid: int
    bsmod: int
    acmod: int
    has_lfe: bool
    dependent_count: int
    #: chan_loc of F.6.2.13: where the channels of the dependent substreams stand.
    channel_locations: int

    @property
    def channels(self) -> int:
        """Those of the dependent substreams and the LFE count."""
        extra = sum(n for _, bit, n in _LOCATIONS if self.channel_locations >> bit & 1)
        return _CHANNELS[self.acmod] + self.has_lfe + extra


@dataclass(frozen=True, slots=True)
class Eac3Config:
    """What a decoder of E-AC-3 sets up."""

    #: Hz.
    sample_rate: int
    #: At least one; the first is the main programme.
    substreams: tuple[Eac3Substream, ...]
    #: complexity_index_type_a of joint object coding (ETSI TS 103 420 8.3.1); None: no JOC.
    joc_complexity: int | None
    #: Of all substreams. May change from frame to frame.
    bitrate_kbps: int = field(compare=False)
    #: Of one access unit as the encoder sends it: 256, 512, 768 or 1536.
    samples_per_frame: int = field(default=SAMPLES_PER_ACCESS_UNIT, compare=False)

    @property
    def codec_string(self) -> str:
        """``ec-3`` (ETSI TS 102 366 F.5)."""
        return "ec-3"

    @property
    def clock_rate_hz(self) -> int:
        """Samples per second that frames are counted in."""
        return self.sample_rate

    @property
    def channels(self) -> int:
        """Of the first programme."""
        return self.substreams[0].channels

    @property
    def hls_channels(self) -> str:
        """CHANNELS of EXT-X-MEDIA, ``16/JOC`` for objects (RFC 8216bis 4.4.6.1)."""
        return f"{self.joc_complexity}/JOC" if self.joc_complexity else str(self.channels)

    def frame_samples(self, data: bytes) -> int:
        """Count the samples of a payload: 256 per block of its first substream.

        Raises:
            Truncated: it ends in a frame.
            CodecError: no syncword where one should be.
        """
        frames = walk_syncframes(data)
        return SAMPLES_PER_BLOCK * sum(frame.blocks for frame in frames if frame.is_first)

    def serialize_record(self) -> bytes:
        """Write EC3SpecificBox without its header (F.6, TS 103 420 for its extension)."""
        bits = BitWriter().u(13, min(self.bitrate_kbps, 0x1FFF)).u(3, len(self.substreams) - 1)
        for each in self.substreams:
            bits.u(2, each.rate_code).u(5, each.bsid).u(1, 0).u(1, 0).u(3, each.bsmod)
            bits.u(3, each.acmod).u(1, each.has_lfe).u(3, 0).u(4, each.dependent_count)
            if each.dependent_count:
                bits.u(9, each.channel_locations)
            else:
                bits.u(1, 0)
        if self.joc_complexity is not None:
            bits.u(7, 0).u(1, 1).u(8, self.joc_complexity)
        return bytes(bits)


def parse_ac3_frame(data: bytes) -> Ac3Config | Eac3Config:
    """Read the syncframes of a payload: AC-3 or E-AC-3, as bsid tells.

    Raises:
        Truncated: it ends too early.
        CodecError: no syncword, or a reserved value.
        Unsupported: a bsid that is neither.
    """
    if len(data) < HEAD_BYTES:
        raise Truncated(HEAD_BYTES, len(data), "AC-3 syncframe")
    if not data.startswith(SYNCWORD):
        raise CodecError(f"no AC-3 syncword but {data[:2].hex()}")
    # bsid stands in the same place in both (E.1.3.1.6).
    bsid = data[5] >> 3
    if bsid in EAC3_BSIDS:
        return _parse_eac3(data)
    if bsid > _MAX_AC3_BSID:
        raise Unsupported(f"AC-3 bitstream of bsid {bsid}")
    return _parse_ac3(data)


def _parse_ac3(data: bytes) -> Ac3Config:
    bits = BitReader(data[4:12])
    rate_code, size_code = bits.u(2, "fscod"), bits.u(6, "frmsizecod")
    if rate_code == 3 or size_code >> 1 >= len(_BITRATES_KBPS):
        raise CodecError(f"reserved AC-3 fscod {rate_code} or frmsizecod {size_code}")
    bsid, bsmod, acmod = bits.u(5, "bsid"), bits.u(3, "bsmod"), bits.u(3, "acmod")
    if acmod & 1 and acmod != 1:
        bits.u(2, "cmixlev")
    if acmod & 4:
        bits.u(2, "surmixlev")
    if acmod == 2:
        bits.u(2, "dsurmod")
    return Ac3Config(rate_code, bsid, bsmod, acmod, bits.flag("lfeon"), size_code >> 1)


def _parse_eac3(data: bytes) -> Eac3Config:
    frames = walk_syncframes(data)
    if not frames[0].is_first:
        raise CodecError("E-AC-3 payload does not begin with independent substream 0")
    substreams: list[Eac3Substream] = []
    joc: int | None = None
    seen: set[tuple[int, int, int]] = set()
    for frame in frames:
        # Further frames of a substream, when they hold fewer than six blocks, say the same.
        is_dependent = frame.stream_type == DEPENDENT
        owner = len(substreams) - 1 if is_dependent else 0
        key = (is_dependent, owner, frame.substream_id)
        if key in seen:
            if not is_dependent:
                break
            continue
        seen.add(key)
        bsi = read_bsi(frame)
        joc = bsi.joc_complexity if joc is None else joc
        if is_dependent:
            substreams[-1] = _with_dependent(substreams[-1], frame, bsi)
        else:
            substreams.append(_independent(frame, bsi))
    first = frames[0]
    blocks = sum(frame.blocks for frame in frames if frame.is_first)
    total_bits = 8 * sum(frame.frame_bytes for frame in frames)
    rate_kbps = total_bits * first.sample_rate // (SAMPLES_PER_BLOCK * blocks * 1000)
    samples = SAMPLES_PER_BLOCK * blocks
    return Eac3Config(first.sample_rate, tuple(substreams), joc, rate_kbps, samples)


def _independent(frame: Eac3Frame, bsi: Bsi) -> Eac3Substream:
    return Eac3Substream(frame.rate_code, frame.bsid, bsi.bsmod, frame.acmod, frame.has_lfe, 0, 0)


def _with_dependent(owner: Eac3Substream, frame: Eac3Frame, bsi: Bsi) -> Eac3Substream:
    locations = owner.channel_locations
    for map_bit, location_bit, _ in _LOCATIONS:
        if bsi.channel_map >> (15 - map_bit) & 1:
            locations |= 1 << location_bit
    return Eac3Substream(
        *(owner.rate_code, owner.bsid, owner.bsmod, owner.acmod, owner.has_lfe),
        *(owner.dependent_count + 1, locations),
    )
