"""VP9: configuration record (VP Codec ISO Media File Format Binding 1.0), keyframe headers.

The record tells no size, the keyframe no level: a ``Vp9Config`` needs both. Keyframes: VP9
bitstream specification 6.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final

from hlsorigin.codecs.colour import Colour, VideoRange
from hlsorigin.errors import CodecError
from hlsorigin.wire.bits import BitReader
from hlsorigin.wire.reader import ByteReader

#: Version and flags of the FullBox; the record itself can't begin so, its bit depth would be 0.
_FULL_BOX_HEAD: Final = b"\x01\x00\x00\x00"
_BIT_DEPTHS: Final = (8, 10, 12)
_MAX_PROFILE: Final = 3
#: Uncompressed headers of keyframes have 20 bytes at most before what is read here ends.
_HEADER_BYTES: Final = 24
_FRAME_MARKER: Final = 2
_SYNC_CODE: Final = 0x498342
_CS_RGB: Final = 7
#: matrix_coefficients of ITU-T H.273 by color_space of VP9 (7.2.2).
_MATRICES: Final = (2, 6, 1, 6, 7, 9, 2, 0)
_DEFAULT_FRAME_RATE: Final = 30

#: chromaSubsampling of the record: 4:2:0 with luma of the left column, of the corner; 4:2:2;
#: 4:4:4; 4:4:0 (binding 1.0, "Semantics").
_SUBSAMPLING_420: Final = 1
_SUBSAMPLINGS: Final = {(True, True): 1, (True, False): 2, (False, False): 3, (False, True): 4}

#: (level, luma samples per second, luma samples per picture, samples of the longer side).
_LEVELS: Final = (
    *((10, 829_440, 36_864, 512), (11, 2_764_800, 73_728, 768), (20, 4_608_000, 122_880, 960)),
    *((21, 9_216_000, 245_760, 1344), (30, 20_736_000, 552_960, 2048)),
    *((31, 36_864_000, 983_040, 2752), (40, 83_558_400, 2_228_224, 4160)),
    *((41, 160_432_128, 2_228_224, 4160), (50, 311_951_360, 8_912_896, 8384)),
    *((51, 588_251_136, 8_912_896, 8384), (52, 1_176_502_272, 8_912_896, 8384)),
    *((60, 1_176_502_272, 35_651_584, 16_832), (61, 2_353_004_544, 35_651_584, 16_832)),
)
_MAX_LEVEL: Final = 62


@dataclass(frozen=True, slots=True)
class Vp9Record:
    """VPCodecConfigurationRecord."""

    profile: int
    #: Ten times the level; 0 is not known.
    level: int
    bit_depth: int
    #: 0 and 1 4:2:0, 2 4:2:2, 3 4:4:4, 4 4:4:0.
    chroma_subsampling: int
    colour: Colour


@dataclass(frozen=True, slots=True)
class Vp9Keyframe:
    """What the header of a keyframe says."""

    profile: int
    bit_depth: int
    chroma_subsampling: int
    #: The header tells the matrix and the range, not primaries and transfer.
    colour: Colour
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Vp9Config:
    """A VP9 track. Make it with ``from_keyframe``."""

    profile: int
    #: Ten times the level.
    level: int
    bit_depth: int
    chroma_subsampling: int
    colour: Colour
    width: int
    height: int
    #: Not in the bitstream: what metadata tells, if anything.
    frame_rate: Fraction | None = field(default=None, compare=False)

    @classmethod
    def from_keyframe(
        cls,
        keyframe: Vp9Keyframe,
        record: Vp9Record | None = None,
        frame_rate: Fraction | None = None,
    ) -> Vp9Config:
        """Make a config: sizes and format of the keyframe, level and colour of the record.

        A record that contradicts the keyframe's format is passed over. Without a level that
        fits the size the smallest that does is taken.

        Args:
            keyframe: a real one.
            record: the one of the sequence header, if there was any.
            frame_rate: what metadata tells; 30 is assumed to find a level.
        """
        level, colour = 0, keyframe.colour
        subsampling = keyframe.chroma_subsampling
        if record is not None and _agree(record, keyframe):
            level, colour, subsampling = record.level, record.colour, record.chroma_subsampling
        size = keyframe.width, keyframe.height
        if not _fits(level, *size):
            level = _smallest_level(*size, frame_rate or Fraction(_DEFAULT_FRAME_RATE))
        return cls(
            profile=keyframe.profile,
            level=level,
            bit_depth=keyframe.bit_depth,
            chroma_subsampling=subsampling,
            colour=colour,
            width=keyframe.width,
            height=keyframe.height,
            frame_rate=frame_rate,
        )

    @property
    def sample_aspect(self) -> Fraction:
        """Width by height of one sample: 1, render sizes are for the page to heed."""
        return Fraction(1)

    @property
    def codec_string(self) -> str:
        """``vp09.PP.LL.DD``, with ``.CC.cp.tc.mc.FF`` where they differ from the defaults.

        Spec: VP Codec ISO Media File Format Binding, "Codecs Parameter String". Code points
        that are not told are left to the default as well.
        """
        colour = self.colour
        short = f"vp09.{self.profile:02d}.{self.level:02d}.{self.bit_depth:02d}"
        if self.chroma_subsampling <= _SUBSAMPLING_420 and colour.is_default:
            return short
        return (
            f"{short}.{self.chroma_subsampling:02d}.{colour.primaries:02d}.{colour.transfer:02d}"
            f".{colour.matrix:02d}.{colour.is_full_range:02d}"
        )

    @property
    def video_range(self) -> VideoRange:
        """VIDEO-RANGE (RFC 8216bis 4.4.6.2)."""
        return self.colour.video_range

    @property
    def supplemental_codec(self) -> str | None:
        """SUPPLEMENTAL-CODECS: none, the bitstream alone does not tell Dolby Vision."""
        return None

    def serialize_record(self) -> bytes:
        """Write a VPCodecConfigurationRecord, without the version and flags of its box."""
        colour = self.colour
        formats = self.bit_depth << 4 | self.chroma_subsampling << 1 | colour.is_full_range
        codes = (colour.primaries, colour.transfer, colour.matrix)
        return bytes((self.profile, self.level, formats, *codes, 0, 0))


def parse_vp9_record(body: bytes) -> Vp9Record:
    """Read a VPCodecConfigurationRecord, with or without the version and flags of its box.

    Enhanced RTMP sends the record alone; some encoders send the content of ``vpcC``.

    Raises:
        Truncated: it ends too early.
        CodecError: a profile, bit depth or subsampling that can't be.
    """
    reader = ByteReader(body.removeprefix(_FULL_BOX_HEAD))
    profile, level = reader.u8("profile"), reader.u8("level")
    formats = reader.u8("bitDepth, chromaSubsampling, videoFullRangeFlag")
    primaries, transfer, matrix = reader.take(3, "colour description")
    colour = Colour(primaries, transfer, matrix, is_full_range=bool(formats & 1))
    bit_depth, subsampling = formats >> 4, formats >> 1 & 7
    if profile > _MAX_PROFILE or bit_depth not in _BIT_DEPTHS or subsampling > 4:
        raise CodecError(f"VP9 configuration record {body[:12].hex()}")
    return Vp9Record(profile, level, bit_depth, subsampling, colour)


def parse_vp9_keyframe(data: bytes, start: int = 0) -> Vp9Keyframe | None:
    """Read the uncompressed header of the first frame at ``start``; None: it is no keyframe.

    In a superframe (annex B) the first frame stands at the beginning as well.

    Raises:
        Truncated: it ends too early.
        CodecError: no frame marker or sync code, or a format that can't be.
    """
    bits = BitReader(data[start : start + _HEADER_BYTES])
    if bits.u(2, "frame_marker") != _FRAME_MARKER:
        raise CodecError("no VP9 frame marker")
    profile = bits.u(1, "profile_low_bit") | bits.u(1, "profile_high_bit") << 1
    if profile == _MAX_PROFILE and bits.flag("reserved_zero"):
        raise CodecError("VP9 profile above 3")
    if bits.flag("show_existing_frame") or bits.flag("frame_type"):
        return None
    bits.u(2, "show_frame, error_resilient_mode")
    if bits.u(24, "frame_sync_code") != _SYNC_CODE:
        raise CodecError("no VP9 sync code in a keyframe")
    bit_depth, subsampling, colour = _read_color_config(bits, profile)
    width, height = bits.u(16, "frame_width_minus_1") + 1, bits.u(16, "frame_height_minus_1") + 1
    return Vp9Keyframe(profile, bit_depth, subsampling, colour, width, height)


def _read_color_config(bits: BitReader, profile: int) -> tuple[int, int, Colour]:
    """Read color_config() (6.2.2): bit depth, subsampling, matrix and range."""
    bit_depth = 8
    if profile >= 2:
        bit_depth = 12 if bits.flag("ten_or_twelve_bit") else 10
    color_space = bits.u(3, "color_space")
    has_subsampling = bool(profile & 1)
    colour = Colour(matrix=_MATRICES[color_space])
    if color_space == _CS_RGB:
        if not has_subsampling:
            raise CodecError(f"VP9 RGB in profile {profile}")
        bits.flag("reserved_zero")
        return bit_depth, _SUBSAMPLINGS[False, False], replace(colour, is_full_range=True)
    colour = replace(colour, is_full_range=bits.flag("color_range"))
    if not has_subsampling:
        return bit_depth, _SUBSAMPLING_420, colour
    subsampling = _SUBSAMPLINGS[bits.flag("subsampling_x"), bits.flag("subsampling_y")]
    bits.flag("reserved_zero")
    return bit_depth, subsampling, colour


def _agree(record: Vp9Record, keyframe: Vp9Keyframe) -> bool:
    """Say whether profile, bit depth and subsampling are the same (0 and 1 both are 4:2:0)."""
    return (record.profile, record.bit_depth, max(1, record.chroma_subsampling)) == (
        keyframe.profile,
        keyframe.bit_depth,
        keyframe.chroma_subsampling,
    )


def _fits(level: int, width: int, height: int) -> bool:
    limits = [each for each in _LEVELS if each[0] == level]
    if not limits:
        return level == _MAX_LEVEL
    _, _, picture, side = limits[0]
    return width * height <= picture and max(width, height) <= side


def _smallest_level(width: int, height: int, frame_rate: Fraction) -> int:
    for level, rate, picture, side in _LEVELS:
        area = width * height
        if area <= picture and max(width, height) <= side and area * frame_rate <= rate:
            return level
    return _MAX_LEVEL
