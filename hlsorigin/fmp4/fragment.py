"""One movie fragment: moof and mdat (ISO/IEC 14496-12 8.8; spec.md rules 69 to 72)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hlsorigin.fmp4.box import BOX_HEADER_BYTES, box

#: sample_depends_on = 2: decodable alone (8.8.3.1).
SYNC_FLAGS: Final = 0x0200_0000
#: sample_depends_on = 1, sample_is_non_sync_sample.
NON_SYNC_FLAGS: Final = 0x0101_0000

#: tfhd: defaults for duration and flags are there, default-base-is-moof.
_TFHD_FLAGS: Final = 0x02_0000 | 0x20 | 0x8
_TFHD_BYTES: Final = 24
#: tfhd of a track without samples: duration-is-empty, default-base-is-moof.
_TFHD_EMPTY_FLAGS: Final = 0x02_0000 | 0x01_0000
_TFDT_BYTES: Final = 20
_TFDT_VERSION: Final = 1 << 24
_MFHD_BYTES: Final = 16
#: trun: size, type, version and flags, sample_count, data_offset.
_TRUN_BYTES: Final = 20
_DATA_OFFSET: Final = 0x1
_FIRST_FLAGS: Final = 0x4
_DURATIONS: Final = 0x100
_SIZES: Final = 0x200
_FLAGS: Final = 0x400
_OFFSETS: Final = 0x800

_MOOF_MFHD: Final = struct.Struct(">I4sI4sII")
_TRAF: Final = struct.Struct(">I4s I4s4I I4sIQ I4sIIi")
_EMPTY_TRAF: Final = struct.Struct(">I4s I4sII I4sIQ")
_MDAT: Final = struct.Struct(">I4s")


@dataclass(slots=True)
class TrackRun:
    """Samples of one track in a row, in ticks of its timescale."""

    track_id: int
    #: Decode time of the first sample.
    decode_time: int
    durations: list[int]
    #: PTS less DTS; None: all are 0.
    offsets: list[int] | None
    #: For each sample; None: all are sync samples.
    is_sync: list[bool] | None
    #: The samples' bytes, at least one.
    payloads: list[bytes]


class _Traf:
    """The box of a run, but for the place of its bytes, which the boxes before it decide."""

    __slots__ = (
        "default_flags", "first_flags", "payload_bytes", "run", "size", "table", "trun_flags",
    )  # fmt: skip

    def __init__(self, run: TrackRun) -> None:
        self.run = run
        sizes = list(map(len, run.payloads))
        self.payload_bytes = sum(sizes)
        self.trun_flags = _DATA_OFFSET | _SIZES
        self.default_flags = SYNC_FLAGS
        self.first_flags = b""
        columns = [sizes]
        durations = run.durations
        if durations.count(durations[0]) != len(durations):
            self.trun_flags |= _DURATIONS
            columns.insert(0, durations)
        if run.is_sync is not None and (flags := self._sync_flags(run.is_sync)):
            self.trun_flags |= _FLAGS
            columns.append(flags)
        if run.offsets is not None:
            self.trun_flags |= _OFFSETS | 1 << 24  # version 1: they are signed
            columns.append(run.offsets)
        self.table = _table(columns)
        self.size = BOX_HEADER_BYTES + _TFHD_BYTES + _TFDT_BYTES + _TRUN_BYTES
        self.size += len(self.first_flags) + len(self.table)

    def _sync_flags(self, is_sync: list[bool]) -> list[int]:
        """Give the column of flags; empty where the default and the first sample's say it all."""
        keyframes = is_sync.count(True)
        if keyframes == len(is_sync):
            return []
        self.default_flags = NON_SYNC_FLAGS
        if keyframes == 0:
            return []
        if keyframes == 1 and is_sync[0]:
            self.first_flags = SYNC_FLAGS.to_bytes(4, "big")
            self.trun_flags |= _FIRST_FLAGS
            return []
        return [SYNC_FLAGS if each else NON_SYNC_FLAGS for each in is_sync]

    def head(self, data_offset: int) -> bytes:
        """Give all up to the first sample's flags or the table."""
        run = self.run
        trun_bytes = _TRUN_BYTES + len(self.first_flags) + len(self.table)
        return _TRAF.pack(
            *(self.size, b"traf"),
            *(_TFHD_BYTES, b"tfhd", _TFHD_FLAGS, run.track_id, run.durations[0]),
            self.default_flags,
            *(_TFDT_BYTES, b"tfdt", _TFDT_VERSION, run.decode_time),
            *(trun_bytes, b"trun", self.trun_flags, len(run.payloads), data_offset),
        )


def write_fragment(sequence_number: int, runs: Sequence[TrackRun], out: list[bytes]) -> None:
    """Append a moof with a traf per run, and the mdat with the runs one behind the other."""
    trafs = [_Traf(run) for run in runs]
    moof_bytes = BOX_HEADER_BYTES + _MFHD_BYTES + sum(traf.size for traf in trafs)
    out.append(_MOOF_MFHD.pack(moof_bytes, b"moof", _MFHD_BYTES, b"mfhd", 0, sequence_number))
    data_offset = moof_bytes + BOX_HEADER_BYTES
    for traf in trafs:
        out += (traf.head(data_offset), traf.first_flags, traf.table)
        data_offset += traf.payload_bytes
    out.append(_MDAT.pack(data_offset - moof_bytes, b"mdat"))
    for run in runs:
        out += run.payloads


def write_empty_fragment(
    sequence_number: int, ends: Sequence[tuple[int, int]], out: list[bytes]
) -> None:
    """Append a moof that says that its tracks have no samples for a while, and an empty mdat.

    Args:
        ends: (track_id, decode time) of each track.
    """
    mfhd = struct.pack(">I4sII", _MFHD_BYTES, b"mfhd", 0, sequence_number)
    tfhd_bytes = 16
    trafs = [
        _EMPTY_TRAF.pack(
            *(BOX_HEADER_BYTES + tfhd_bytes + _TFDT_BYTES, b"traf"),
            *(tfhd_bytes, b"tfhd", _TFHD_EMPTY_FLAGS, track_id),
            *(_TFDT_BYTES, b"tfdt", _TFDT_VERSION, time),
        )
        for track_id, time in ends
    ]
    out += (box(b"moof", mfhd, *trafs), box(b"mdat"))


def _table(columns: list[list[int]]) -> bytes:
    """Write the rows of a run; offsets are signed, nothing else reaches the sign bit."""
    if len(columns) == 1:
        return struct.pack(f">{len(columns[0])}i", *columns[0])
    width = len(columns)
    cells = [0] * (width * len(columns[0]))
    for index, column in enumerate(columns):
        cells[index::width] = column
    return struct.pack(f">{len(cells)}i", *cells)
