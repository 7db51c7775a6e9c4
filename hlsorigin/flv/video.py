"""H.264 of a publish: FLV payloads to tracks and samples.

Rules:

1. Parameter sets count the same, whether they came in a sequence header or in band; when a track
   is announced, ``video_track`` says.
2. A sequence header equal to the one before says nothing, even when sets in band have changed
   since: streams that repeat both would else switch to and fro.
3. Samples are handed on as they came wherever possible: one slice of the payload, not a rebuild.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hlsorigin.codecs.h264 import (
    AvcConfig,
    has_recovery_point,
    is_intra_slice,
    parameter_set_id,
    parse_avc_record,
)
from hlsorigin.codecs.h264_sps import parse_sps
from hlsorigin.codecs.nal import (
    NalType,
    scan_length_prefixed,
    split_annex_b,
    starts_with_start_code,
)
from hlsorigin.errors import CodecError, PeerError
from hlsorigin.flv.access_unit import AccessUnit, bits_of, from_annex_b, sample_bytes
from hlsorigin.flv.drops import Drops
from hlsorigin.flv.video_track import MAX_RECORD_BYTES, VIDEO_TRACK_ID, Item, VideoTrack
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TICKS_PER_MS

# Sets of NAL unit types, one bit each.
_PARAMETER_SETS: Final = bits_of(NalType.SPS, NalType.PPS)
# AUD: the TS muxer writes its own (13818-1 2.14.1), ISO/IEC 14496-15 does not want any. Ends of
# sequence would tell the decoder of a loop or a pause that the timeline may have closed. Type 0
# stands for units of length zero.
_REMOVED: Final = _PARAMETER_SETS | bits_of(
    NalType.UNSPECIFIED,
    NalType.ACCESS_UNIT_DELIMITER,
    NalType.END_OF_SEQUENCE,
    NalType.END_OF_STREAM,
    NalType.FILLER,
)
_SLICES: Final = bits_of(NalType.SLICE, NalType.SLICE_PARTITION_A, NalType.IDR_SLICE)
_IDR: Final = bits_of(NalType.IDR_SLICE)
_SEI: Final = bits_of(NalType.SEI)


class AvcDepacketizer(VideoTrack):
    """One per track. Raises nothing on peer data."""

    FOUR_CC = b"avc1"
    _NAME = "H.264"
    _MISSING_CONFIG = (
        "video frames before the H.264 sequence header are dropped; if this goes on, let the "
        "encoder send it at the start or repeat SPS and PPS before every keyframe"
    )

    def __init__(
        self, drops: Drops, track_id: int = VIDEO_TRACK_ID, *, waits_for_sync: bool = False
    ) -> None:
        super().__init__(drops, track_id, waits_for_sync=waits_for_sync)
        self._record: bytes | None = None  # the last sequence header that could be read
        self._length_size = 4
        self._sps: dict[int, bytes] = {}  # by seq_parameter_set_id, as last received
        self._pps: dict[int, bytes] = {}

    def sequence_header(self, body: bytes) -> list[Item]:
        """Take an AVCDecoderConfigurationRecord (FLV 10.1 E.4.3.2); empty ones are ignored."""
        if not body or body == self._record:
            return []
        try:
            sps, pps, length_size = _read_sequence_header(body)
            new_sps, new_pps = _by_id(sps), _by_id(pps)
            items = self._adopt(new_sps, new_pps)
        except PeerError as err:
            return self._broken_config(err)
        self._record, self._length_size = body, length_size
        return items

    def access_unit(
        self, timestamp_ms: int, offset_ms: int, payload: bytes, start: int, is_key: bool
    ) -> list[Item]:
        """Take the NAL units of one picture.

        Args:
            timestamp_ms: decode time.
            offset_ms: signed composition offset.
            payload: NAL units from ``start`` to the end.
            is_key: the FLV header calls it a keyframe; believed only together with a recovery
                point and intra slices, since encoders set it on any I picture.
        """
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
        is_sync = kinds & _IDR != 0 or (is_key and kinds & _SEI != 0 and _is_open_gop_start(unit))
        if self._announced is None or self._pending is not None:
            items += self._catch_up(is_sync)
            if self._announced is None:
                return items
        dts = timestamp_ms * TICKS_PER_MS
        pts = dts + offset_ms * TICKS_PER_MS
        data = sample_bytes(unit, kinds, _REMOVED)
        items.append(Sample(self._track_id, dts, pts, 0, is_sync, data))
        return items

    def _take_apart(self, payload: bytes, start: int) -> AccessUnit:
        """Find the NAL units, whatever stands before them.

        Raises:
            CodecError: they are neither behind lengths nor behind start codes.
        """
        size = self._length_size
        try:
            return AccessUnit(payload, start, size, scan_length_prefixed(payload, size, start))
        except CodecError:
            if starts_with_start_code(payload, start):
                return from_annex_b(payload, start)
            if self._record is not None:
                raise
            # Not remembered: a damaged frame that fits another size by chance is alone with it.
            unit = _probe_length_size(payload, start)
            if unit is None:
                raise
            return unit

    def _collect_parameter_sets(self, unit: AccessUnit) -> list[Item]:
        """Take SPS and PPS that came in band."""
        found = [
            unit.buffer[span.start : span.end]
            for span in unit.spans
            if 1 << span.nal_type & _PARAMETER_SETS
        ]
        try:
            new_sps = _by_id(nal for nal in found if nal[0] & 0x1F == NalType.SPS)
            new_pps = _by_id(nal for nal in found if nal[0] & 0x1F == NalType.PPS)
            if new_sps.items() <= self._sps.items() and new_pps.items() <= self._pps.items():
                return []
            for nal in new_sps.values():
                parse_sps(nal)  # a damaged one would stay in the track for good
            # A PPS belongs to the content of its SPS (7.4.1.2.1): those sent along replace all.
            is_replaced = any(self._sps.get(key, nal) != nal for key, nal in new_sps.items())
            kept_pps = {} if is_replaced and new_pps else self._pps
            return self._adopt({**self._sps, **new_sps}, {**kept_pps, **new_pps})
        except PeerError as err:
            return self._broken_config(f"in band: {err}")

    def _adopt(self, sps: dict[int, bytes], pps: dict[int, bytes]) -> list[Item]:
        """Make these the sets in force from the next sync sample on (rule 1).

        Raises:
            CodecError, Truncated: they can't be read; nothing has changed.
        """
        items: list[Item] = []
        if sps and pps:
            items = self._offer(AvcConfig.from_parameter_sets((*sps.values(),), (*pps.values(),)))
        self._sps, self._pps = sps, pps
        return items


def _read_sequence_header(body: bytes) -> tuple[tuple[bytes, ...], tuple[bytes, ...], int]:
    """Give SPS, PPS and the bytes per length field."""
    if len(body) > MAX_RECORD_BYTES:
        raise CodecError(f"record of {len(body)} bytes")
    if starts_with_start_code(body):  # a record starts with version 1, so there is no doubt
        nals = split_annex_b(body)
        sps = tuple(nal for nal in nals if nal[0] & 0x1F == NalType.SPS)
        pps = tuple(nal for nal in nals if nal[0] & 0x1F == NalType.PPS)
        return AvcConfig.from_parameter_sets(sps, pps).sps, pps, 4
    config, length_size = parse_avc_record(body)
    return config.sps, config.pps, length_size


def _by_id(nals: Iterable[bytes]) -> dict[int, bytes]:
    return {parameter_set_id(nal): nal for nal in nals}


def _probe_length_size(payload: bytes, start: int) -> AccessUnit | None:
    """Find the length size of a stream that told none, by walking; 4 was tried already."""
    for size in (2, 1):
        try:
            spans = scan_length_prefixed(payload, size, start)
        except CodecError:
            continue
        # One-byte lengths fit random bytes too easily: ask for sensible NAL headers as well.
        if all(1 <= span.nal_type <= NalType.FILLER for span in spans) and not any(
            payload[span.start] & 0x80 for span in spans
        ):
            return AccessUnit(payload, start, size, spans)
    return None


def _is_open_gop_start(unit: AccessUnit) -> bool:
    """Say whether a recovery point marks a picture of I slices only."""
    buffer = unit.buffer
    is_marked = any(
        has_recovery_point(buffer[span.start : span.end])
        for span in unit.spans
        if span.nal_type == NalType.SEI
    )
    slices = [span for span in unit.spans if span.nal_type == NalType.SLICE]
    return (
        is_marked
        and bool(slices)
        and all(
            is_intra_slice(buffer[span.start : min(span.end, span.start + 32)]) for span in slices
        )
    )
