"""Reads the boxes of a segment strictly: rules 69 to 76 (part of ``mp4_reader``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.support.mp4_boxes import Box, Fields, check, check_kinds, only, read_boxes
from tests.support.mp4_init import (
    CMAF_BRANDS,
    Init,
    InitTrack,
    Trex,
    check_sample_flags,
    read_brands,
)
from tests.support.mp4_samples import check_sample

_NON_SYNC = 1 << 16
_SEGMENT_BRANDS = {"msdh", "msix", "dsms", "lmsg"} | {"cmfs", "cmff", "cmfl"} | CMAF_BRANDS
_TFHD_FLAGS = 0x01003A | 0x020000 | 0x000001
_BASE_OFFSET, _DEFAULT_BASE_IS_MOOF = 0x000001, 0x020000
_TRUN_FLAGS = 0x000F05
_DATA_OFFSET, _FIRST_FLAGS, _DURATION, _SIZE, _FLAGS, _COMPOSITION = (
    0x001, 0x004, 0x100, 0x200, 0x400, 0x800
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mp4Sample:
    """One sample; times in ticks of its track."""

    dts: int
    #: With the composition offset; an edit list isn't taken off.
    pts: int
    duration: int
    is_sync: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Emsg:
    """One event message (23009-1 5.10.3.3)."""

    version: int
    scheme_id_uri: str
    value: str
    timescale: int
    #: Version 1: on the track's timeline; version 0: after the segment's earliest time.
    presentation_time: int
    #: 0xFFFFFFFF: unknown.
    duration: int
    event_id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Prft:
    """One producer reference time (14496-12 8.16.5)."""

    flags: int
    track_id: int
    #: Seconds since 1900 times 2**32.
    ntp: int
    media_time: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """One moof and its mdat."""

    sequence_number: int
    #: By track_ID; a traf without samples gives an empty list.
    tracks: dict[int, list[Mp4Sample]]
    #: tfdt by track_ID.
    decode_times: dict[int, int]
    #: First byte of the moof, first byte after the mdat.
    byte_range: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Segment:
    """All that was in a segment or part."""

    #: None: no styp.
    brands: frozenset[str] | None
    emsgs: list[Emsg]
    prfts: list[Prft]
    fragments: list[Fragment]

    def samples(self, track_id: int) -> list[Mp4Sample]:
        """Give a track's samples over all fragments."""
        return [s for fragment in self.fragments for s in fragment.tracks.get(track_id, [])]


def read_fragments(data: bytes, init: Init) -> Segment:
    """Read and check a segment, or a part of one (rules 69 to 76).

    Raises:
        Mp4Error: a rule is broken; its number comes first.
    """
    boxes = read_boxes(data)
    segment = Segment(_read_styp(boxes), [], [], [])
    at, moof = int(segment.brands is not None), None
    for box in boxes[at:]:
        if moof is not None:
            check(box.type == "mdat", 69, f"{box.type} behind a moof, where its mdat must be")
            segment.fragments.append(_read_fragment(moof, box, init))
            moof = None
        elif box.type == "moof":
            moof = box
        elif box.type == "emsg":
            segment.emsgs.append(_read_emsg(box))
        elif box.type == "prft":
            segment.prfts.append(_read_prft(box, init))
        else:
            check(box.type == "sidx" and not segment.fragments, 69, f"{box.type} in a segment")
            _read_sidx(box, len(data), init)
    check(moof is None, 69, "the last moof has no mdat")
    check(bool(segment.fragments), 69, "a segment without a fragment")
    check(boxes[-1].type == "mdat", 69, f"{boxes[-1].type} behind the last mdat")
    _check_order(segment)
    return segment


def _read_styp(boxes: Sequence[Box]) -> frozenset[str] | None:
    if not boxes or boxes[0].type != "styp":
        return None
    _, brands = read_brands(boxes[0], 69)
    check(bool(brands & _SEGMENT_BRANDS), 69, f"styp: no segment brand in {sorted(brands)}")
    return brands


def _check_order(segment: Segment) -> None:
    numbers = [fragment.sequence_number for fragment in segment.fragments]
    check(numbers == sorted(set(numbers)), 76, f"mfhd: sequence_number goes {numbers}")
    for prft in segment.prfts:
        times = [
            (samples[0].dts, max(s.pts + s.duration for s in samples))
            for fragment in segment.fragments
            if (samples := fragment.tracks.get(prft.track_id))
        ]
        near = not times or any(first <= prft.media_time <= end for first, end in times)
        check(near, 69, f"prft: media_time {prft.media_time} of track {prft.track_id}, {times}")


def _read_sidx(box: Box, data_bytes: int, init: Init) -> None:
    fields = box.fields()
    wide = 8 if fields.full((0, 1)) else 4
    track_id = fields.u32()
    check(track_id in init.tracks, 69, f"sidx: track {track_id} is not in the init section")
    check(fields.u32() > 0, 69, "sidx: timescale 0")
    fields.uint(wide)
    size = fields.uint(wide)
    fields.zeros(2)
    for _ in range(fields.u16()):
        size += fields.u32() & 0x7FFFFFFF
        fields.take(8)
    fields.done()
    check(box.end + size == data_bytes, 69, f"sidx refers to {size} bytes behind it")


def _read_emsg(box: Box) -> Emsg:
    fields = box.fields()
    if version := fields.full((0, 1)):
        timescale, time, duration, event_id = fields.u32(), fields.u64(), fields.u32(), fields.u32()
        scheme, value = fields.text(), fields.text()
    else:
        scheme, value = fields.text(), fields.text()
        timescale, time, duration, event_id = (fields.u32() for _ in range(4))
    check(timescale > 0, 69, "emsg: timescale 0")
    check(":" in scheme, 69, f"emsg: scheme_id_uri {scheme!r} is no URI")
    return Emsg(version, scheme, value, timescale, time, duration, event_id, fields.rest())


def _read_prft(box: Box, init: Init) -> Prft:
    fields = box.fields()
    version_flags = fields.full((0, 1), None)
    track_id, ntp = fields.u32(), fields.u64()
    time = fields.u64() if version_flags >> 24 else fields.u32()
    fields.done()
    check(track_id in init.tracks, 69, f"prft: track {track_id} is not in the init section")
    check(ntp >> 32 > 0, 69, f"prft: ntp_timestamp {ntp:#x}")
    return Prft(version_flags & 0xFFFFFF, track_id, ntp, time)


def _read_fragment(moof: Box, mdat: Box, init: Init) -> Fragment:
    boxes = moof.children()
    trafs = [box for box in boxes if box.type == "traf"]
    check_kinds(boxes, "moof", ["mfhd"] + ["traf"] * len(trafs), rule=69)
    fields = only(boxes, "mfhd", "moof").fields(76)
    fields.full()
    number = fields.u32()
    fields.done()
    check(len(trafs) == 1 or not init.is_cmaf, 76, f"a CMAF moof with {len(trafs)} traf")
    reader = _FragmentReader(moof, mdat, init)
    for traf in trafs:
        reader.read_traf(traf)
    reader.check_covered()
    return Fragment(number, reader.tracks, reader.decode_times, (moof.start, mdat.end))


class _FragmentReader:
    """Reads the traf of one moof and follows which bytes of the mdat they use."""

    def __init__(self, moof: Box, mdat: Box, init: Init) -> None:
        self._moof = moof
        self._mdat = mdat
        self._init = init
        #: Offsets from the start of the moof, as they stand in the trun.
        self._runs: list[tuple[int, int]] = []
        self.tracks: dict[int, list[Mp4Sample]] = {}
        self.decode_times: dict[int, int] = {}

    def read_traf(self, traf: Box) -> None:
        """Read the samples of one track."""
        boxes = traf.children()
        runs = [box for box in boxes if box.type == "trun"]
        kinds = ["tfhd", "tfdt"] + ["trun"] * len(runs)
        check("tfdt" in [box.type for box in boxes], 69, "traf has no tfdt")
        check_kinds(boxes, "traf", kinds, {"sdtp", "sbgp", "sgpd", "subs"}, rule=69)
        track, defaults = self._read_tfhd(boxes[0])
        check(track.track_id not in self.tracks, 69, f"two traf of track {track.track_id}")
        check(not self._init.is_cmaf or len(runs) <= 1, 76, f"a CMAF traf with {len(runs)} trun")
        time = _read_tfdt(only(boxes, "tfdt", "traf"))
        self.decode_times[track.track_id] = time
        samples = self.tracks[track.track_id] = []
        position = -1
        for box in runs:
            time, position = self._read_trun(box, track, defaults, time, position, samples)
        times = [sample.pts for sample in samples]
        check(len(set(times)) == len(times), 75, f"track {track.track_id}: a PTS twice")

    def _read_tfhd(self, box: Box) -> tuple[InitTrack, Trex]:
        fields = box.fields()
        flags = fields.full((0,), None)
        check(flags & ~_TFHD_FLAGS == 0, 69, f"tfhd: flags {flags:#x}")
        check(flags & _BASE_OFFSET == 0, 69, "tfhd has a base-data-offset")
        check(flags & _DEFAULT_BASE_IS_MOOF != 0, 69, "tfhd lacks default-base-is-moof")
        track = self._init.tracks.get(track_id := fields.u32())
        check(track is not None, 68, f"tfhd: track {track_id} has no trak")
        assert track is not None
        if flags & 0x02:
            check(fields.u32() == 1, 69, "tfhd: sample_description_index is not 1")
        trex = track.trex
        duration = fields.u32() if flags & 0x08 else trex.duration
        size = fields.u32() if flags & 0x10 else trex.size
        sample_flags = fields.u32() if flags & 0x20 else trex.flags
        check_sample_flags(sample_flags, "tfhd")
        fields.done()
        return track, Trex(duration, size, sample_flags)

    def _read_trun(
        self,
        box: Box,
        track: InitTrack,
        defaults: Trex,
        time: int,
        position: int,
        samples: list[Mp4Sample],
    ) -> tuple[int, int]:
        """Read a run; give the decode time and the data offset behind it."""
        fields = box.fields(70)
        head = fields.full((0, 1), None)
        version, flags = head >> 24, head & 0xFFFFFF
        check(flags & ~_TRUN_FLAGS == 0, 70, f"trun: flags {flags:#x}")
        both = _FIRST_FLAGS | _FLAGS
        check(flags & both != both, 70, "trun: flags of the first sample and of each")
        count = fields.u32()
        if flags & _DATA_OFFSET:
            position = fields.i32()
        check(position >= 0, 70, "trun: no data_offset, or a negative one")
        first_flags = fields.u32() if flags & _FIRST_FLAGS else None
        start = position
        for index in range(count):
            duration = fields.u32() if flags & _DURATION else defaults.duration
            size = fields.u32() if flags & _SIZE else defaults.size
            sample_flags = fields.u32() if flags & _FLAGS else defaults.flags
            if index == 0 and first_flags is not None:
                sample_flags = first_flags
            offset = _read_offset(fields, version) if flags & _COMPOSITION else 0
            check_sample_flags(sample_flags, "trun")
            check(duration > 0, 71, f"trun: sample {index} of track {track.track_id} lasts 0")
            check(size > 0, 70, f"trun: sample {index} of track {track.track_id} has no bytes")
            data = self._data(position, size)
            is_sync = not sample_flags & _NON_SYNC
            samples.append(Mp4Sample(time, time + offset, duration, is_sync, data))
            check_sample(track, samples[-1].data, is_sync)
            time, position = time + duration, position + size
        fields.done()
        if count:
            self._runs.append((start, position))
        return time, position

    def _data(self, position: int, size: int) -> bytes:
        start = self._moof.start + position - self._mdat.body_start
        inside = start >= 0 and start + size <= len(self._mdat.body)
        check(inside, 70, f"trun: bytes {position} to {position + size} are not in the mdat")
        return self._mdat.body[start : start + size]

    def check_covered(self) -> None:
        """Each byte of the mdat belongs to one sample."""
        at = self._mdat.body_start - self._moof.start
        for start, end in sorted(self._runs):
            check(start == at, 70, f"mdat: a run begins at {start}, the one before ends at {at}")
            at = end
        left = self._mdat.end - self._moof.start - at
        check(left == 0, 70, f"mdat: {left} bytes behind the last sample")


def _read_tfdt(box: Box) -> int:
    fields = box.fields(71)
    fields.full((1,))
    time = fields.u64()
    fields.done()
    return time


def _read_offset(fields: Fields, version: int) -> int:
    if version == 1:
        return fields.i32()
    offset = fields.u32()
    check(offset < 1 << 31, 75, f"trun of version 0 with composition offset {offset:#x}")
    return offset
