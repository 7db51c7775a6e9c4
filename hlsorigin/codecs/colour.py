"""Colour description by the code points of ITU-T H.273, shared by all video codecs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

#: VIDEO-RANGE of EXT-X-STREAM-INF (RFC 8216bis 4.4.6.2).
VideoRange: TypeAlias = Literal["SDR", "HLG", "PQ"]

UNSPECIFIED: Final = 2
_BT_709: Final = 1
_TRANSFER_PQ: Final = 16
_TRANSFER_HLG: Final = 18


@dataclass(frozen=True, slots=True)
class Colour:
    """What the sample values mean."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    is_full_range: bool = False

    @property
    def video_range(self) -> VideoRange:
        """PQ for SMPTE ST 2084, HLG for ARIB STD-B67, else SDR."""
        if self.transfer == _TRANSFER_PQ:
            return "PQ"
        return "HLG" if self.transfer == _TRANSFER_HLG else "SDR"

    @property
    def is_default(self) -> bool:
        """It is what codec strings without colour fields say: BT.709, or not told."""
        codes = {self.primaries, self.transfer, self.matrix}
        return codes <= {_BT_709, UNSPECIFIED} and not self.is_full_range
