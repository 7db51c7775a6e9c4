"""HEVC of a publish: FLV payloads to tracks and samples. The rules are those of ``video``.

Sync samples are IDR, BLA and CRA pictures, by NAL unit type alone. RASL pictures refer to
pictures before the CRA or BLA picture that they follow: those behind a BLA picture, or behind a
CRA picture with which a track begins, can't be decoded and are dropped (ITU-T H.265 3.129). Behind
any other CRA picture they stay: a player that goes on needs them, one that begins there drops
them by itself (8.1.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hlsorigin.codecs.h265 import (
    BLA_TYPES,
    IRAP_TYPES,
    PARAMETER_SET_TYPES,
    RASL_TYPES,
    VCL_TYPES,
    HevcConfig,
    HevcNalType,
    nal_type,
    parse_hevc_record,
)
from hlsorigin.codecs.h265_sps import open_parameter_set, parse_hevc_sps
from hlsorigin.codecs.nal import scan_length_prefixed, split_annex_b, starts_with_start_code
from hlsorigin.errors import CodecError, PeerError, Unsupported
from hlsorigin.flv.access_unit import AccessUnit, bits_of, from_annex_b, sample_bytes
from hlsorigin.flv.drops import Drops
from hlsorigin.flv.video_track import MAX_RECORD_BYTES, VIDEO_TRACK_ID, Item, VideoTrack
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TICKS_PER_MS

# Sets of NAL unit types, one bit each.
_PARAMETER_SETS: Final = bits_of(*PARAMETER_SET_TYPES)
# In ``hvc1`` parameter sets stand in the sample entry alone (ISO/IEC 14496-15 8.4.3). Type 63
# stands for units of length zero.
_REMOVED: Final = _PARAMETER_SETS | bits_of(
    HevcNalType.ACCESS_UNIT_DELIMITER,
    HevcNalType.END_OF_SEQUENCE,
    HevcNalType.END_OF_BITSTREAM,
    HevcNalType.FILLER,
    HevcNalType.UNSPECIFIED,
)
_SLICES: Final = bits_of(*VCL_TYPES)
_IRAP: Final = bits_of(*IRAP_TYPES)
_BLA: Final = bits_of(*BLA_TYPES)
_RASL: Final = bits_of(*RASL_TYPES)


class HevcDepacketizer(VideoTrack):
    """One per track. Raises nothing on peer data."""

    FOUR_CC = b"hvc1"
    _NAME = "HEVC"
    _MISSING_CONFIG = (
        "video frames before the HEVC sequence header are dropped; if this goes on, let the "
        "encoder send it at the start or repeat VPS, SPS and PPS before every keyframe"
    )

    def __init__(
        self, drops: Drops, track_id: int = VIDEO_TRACK_ID, *, waits_for_sync: bool = False
    ) -> None:
        super().__init__(drops, track_id, waits_for_sync=waits_for_sync)
        self._record = b""  # the last sequence header that could be read
        self._length_size = 4
        #: By type and id, as last received.
        self._sets: dict[tuple[int, int], bytes] = {}
        self._sei: tuple[bytes, ...] = ()  # of the record: HDR10
        self._is_first = True  # no IRAP picture yet
        self._drops_rasl = False

    def sequence_header(self, body: bytes) -> list[Item]:
        """Take an HEVCDecoderConfigurationRecord (E-RTMP, CDN-Union); empty ones are ignored."""
        if not body or body == self._record:
            return []
        try:
            config, length_size = _read_sequence_header(body)
            sets = _by_id((*config.vps, *config.sps, *config.pps))
            items = self._adopt(sets, config.sei)
        except (PeerError, Unsupported) as err:
            return self._broken_config(err)
        self._record, self._length_size = body, length_size
        return items

    def access_unit(
        self, timestamp_ms: int, offset_ms: int, payload: bytes, start: int, is_key: bool
    ) -> list[Item]:
        """Take the NAL units of one picture; ``is_key`` is not believed."""
        try:
            unit = self._take_apart(payload, start)
        except CodecError as err:
            return self._broken_frame(err)
        kinds = 0
        for span in unit.spans:
            kinds |= 1 << span.nal_type
        items: list[Item] = []
        if kinds & _PARAMETER_SETS:
            items += self._collect_parameter_sets(unit)
        if not kinds & _SLICES:
            return items
        is_sync = kinds & _IRAP != 0
        if self._announced is None or self._pending is not None:
            items += self._catch_up(is_sync)
            # New parameter sets: what was before can't be referred to (8.1.3).
            self._is_first = self._is_first or self._pending is None
            if self._announced is None:
                return items
        if not self._can_be_decoded(kinds):
            self._drops.frames += 1
            return items
        dts = timestamp_ms * TICKS_PER_MS
        pts = dts + offset_ms * TICKS_PER_MS
        data = sample_bytes(unit, kinds, _REMOVED)
        items.append(Sample(self._track_id, dts, pts, 0, is_sync, data))
        return items

    def _take_apart(self, payload: bytes, start: int) -> AccessUnit:
        """Find the NAL units, behind lengths or behind start codes.

        Raises:
            CodecError: they are behind neither.
        """
        size = self._length_size
        try:
            spans = scan_length_prefixed(payload, size, start, is_hevc=True)
            return AccessUnit(payload, start, size, spans)
        except CodecError:
            if starts_with_start_code(payload, start):
                return from_annex_b(payload, start, is_hevc=True)
            raise

    def _can_be_decoded(self, kinds: int) -> bool:
        """Say so unless it is a RASL picture without what it refers to."""
        if kinds & _IRAP:
            is_first, self._is_first = self._is_first, False
            self._drops_rasl = is_first or kinds & _BLA != 0
            return True
        return not (self._drops_rasl and kinds & _RASL)

    def _collect_parameter_sets(self, unit: AccessUnit) -> list[Item]:
        """Take VPS, SPS and PPS that came in band."""
        found = (
            unit.buffer[span.start : span.end]
            for span in unit.spans
            if 1 << span.nal_type & _PARAMETER_SETS
        )
        try:
            new = _by_id(nal for nal in found if not _is_of_other_layer(nal))
            if new.items() <= self._sets.items():
                return []
            return self._adopt({**self._without_replaced(new), **new}, self._sei)
        except (PeerError, Unsupported) as err:
            return self._broken_config(f"in band: {err}")

    def _without_replaced(self, new: dict[tuple[int, int], bytes]) -> dict[tuple[int, int], bytes]:
        """Give the sets in force, without the PPS when an SPS changes and others come along.

        A PPS belongs to the content of its SPS (7.4.2.4.2).
        """
        is_replaced = any(
            kind == HevcNalType.SPS and self._sets.get((kind, number), nal) != nal
            for (kind, number), nal in new.items()
        )
        if not is_replaced or all(kind != HevcNalType.PPS for kind, _ in new):
            return self._sets
        return {key: nal for key, nal in self._sets.items() if key[0] != HevcNalType.PPS}

    def _adopt(self, sets: dict[tuple[int, int], bytes], sei: tuple[bytes, ...]) -> list[Item]:
        """Make these the sets in force from the next sync sample on.

        Raises:
            CodecError, Truncated: they can't be read; nothing has changed.
        """
        vps, sps, pps = (
            tuple(nal for (kind, _), nal in sets.items() if kind == wanted)
            for wanted in PARAMETER_SET_TYPES
        )
        items: list[Item] = []
        if sps and pps:
            items = self._offer(HevcConfig.from_parameter_sets(vps, sps, pps, sei))
        self._sets, self._sei = sets, sei
        return items


def _read_sequence_header(body: bytes) -> tuple[HevcConfig, int]:
    """Give the parameter sets and the bytes per length field."""
    if len(body) > MAX_RECORD_BYTES:
        raise CodecError(f"record of {len(body)} bytes")
    if not starts_with_start_code(body):
        return parse_hevc_record(body)
    nals = split_annex_b(body)
    vps, sps, pps = (
        [nal for nal in nals if nal_type(nal) == wanted] for wanted in PARAMETER_SET_TYPES
    )
    return HevcConfig.from_parameter_sets(vps, sps, pps), 4


def _is_of_other_layer(nal: bytes) -> bool:
    """Say whether nuh_layer_id is not 0: a second view, whose sets have ids of their own."""
    return bool(nal[0] & 1) or (len(nal) > 1 and nal[1] >= 8)


def _by_id(nals: Iterable[bytes]) -> dict[tuple[int, int], bytes]:
    """Give parameter sets by type and id.

    Raises:
        CodecError, Truncated: one can't be read; a damaged one would stay in the track for good.
    """
    found: dict[tuple[int, int], bytes] = {}
    for nal in nals:
        kind = nal_type(nal)
        if kind == HevcNalType.SPS:
            number = parse_hevc_sps(nal).sps_id
        else:
            bits = open_parameter_set(nal, kind)
            is_vps = kind == HevcNalType.VPS
            number = bits.u(4, "VPS id") if is_vps else bits.ue("PPS id")
        found[kind, number] = nal
    return found
