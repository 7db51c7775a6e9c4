"""The init section: ftyp and moov (ISO/IEC 14496-12 8.1 to 8.8, CMAF 7.3.1; spec.md rules 67, 68).

::

    ftyp
    moov
    ├── mvhd
    ├── trak                        one per track, in the order given
    │   ├── tkhd
    │   └── mdia
    │       ├── mdhd                timescale: 90 kHz for video, the sampling rate for audio
    │       ├── hdlr
    │       └── minf
    │           ├── vmhd | smhd
    │           ├── dinf / dref / url
    │           └── stbl            stsd, and the tables that are empty in fragmented files
    └── mvex / trex                 one per track
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from hlsorigin.codecs.av1 import Av1Config
from hlsorigin.fmp4.box import box, full_box
from hlsorigin.fmp4.sample_entry import presentation_size, sample_entry, timescale_of
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import MediaKind, Track

_UNITY_MATRIX: Final = struct.pack(
    ">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000
)  # 14496-12 6.2.2
#: Three letters of five bits each, less 0x60 (8.4.2.3).
_UNDETERMINED: Final = (ord("u") - 0x60) << 10 | (ord("n") - 0x60) << 5 | (ord("d") - 0x60)
_ENABLED_IN_MOVIE: Final = 0x3
_SELF_CONTAINED: Final = 0x1
_FULL_VOLUME: Final = 0x0100
_HANDLERS: Final = {
    MediaKind.VIDEO: (b"vide", b"VideoHandler\0"),
    MediaKind.AUDIO: (b"soun", b"SoundHandler\0"),
}
_EMPTY_TABLES: Final = b"".join(
    (
        full_box(b"stts", 0, 0, bytes(4)),
        full_box(b"stsc", 0, 0, bytes(4)),
        full_box(b"stsz", 0, 0, bytes(8)),
        full_box(b"stco", 0, 0, bytes(4)),
    )
)
_DATA_INFORMATION: Final = box(
    b"dinf", full_box(b"dref", 0, 0, (1).to_bytes(4, "big"), full_box(b"url ", 0, _SELF_CONTAINED))
)


def init_section(tracks: Sequence[Track]) -> bytes:
    """Write the init section of the tracks, at least one; equal tracks give equal bytes.

    Raises:
        Unsupported: as ``sample_entry``.
    """
    traks = [_trak(track) for track in tracks]
    trexes = [_trex(track) for track in tracks]
    next_id = 1 + max(track.track_id for track in tracks)
    return _ftyp(tracks) + box(b"moov", _mvhd(next_id), *traks, box(b"mvex", *trexes))


def _ftyp(tracks: Sequence[Track]) -> bytes:
    """Write the brands: CMAF's only where a file has one track, as CMAF demands (7.3.1)."""
    brands = [b"iso6", b"mp41"]
    if len(tracks) == 1:
        brands.append(b"cmfc")
    if any(isinstance(track.config, Av1Config) for track in tracks):
        brands.append(b"av01")  # AV1-ISOBMFF 2.1
    return box(b"ftyp", b"iso6", bytes(4), *brands)


def _mvhd(next_track_id: int) -> bytes:
    times = struct.pack(">4I", 0, 0, TIMESCALE, 0)  # creation, modification, timescale, duration
    rate_volume = struct.pack(">IH10x", 0x10000, _FULL_VOLUME)
    tail = bytes(24) + next_track_id.to_bytes(4, "big")
    return full_box(b"mvhd", 0, 0, times, rate_volume, _UNITY_MATRIX, tail)


def _trak(track: Track) -> bytes:
    media_header = struct.pack(">4I2H", 0, 0, timescale_of(track.config), 0, _UNDETERMINED, 0)
    handler, name = _HANDLERS[track.kind]
    if track.kind is MediaKind.VIDEO:
        kind_header = full_box(b"vmhd", 0, 1, bytes(8))
    else:
        kind_header = full_box(b"smhd", 0, 0, bytes(4))
    stsd = full_box(b"stsd", 0, 0, (1).to_bytes(4, "big"), sample_entry(track.config))
    return box(
        b"trak",
        _tkhd(track),
        box(
            b"mdia",
            full_box(b"mdhd", 0, 0, media_header),
            full_box(b"hdlr", 0, 0, bytes(4), handler, bytes(12), name),
            box(b"minf", kind_header, _DATA_INFORMATION, box(b"stbl", stsd, _EMPTY_TABLES)),
        ),
    )


def _tkhd(track: Track) -> bytes:
    ids = struct.pack(">5I8x", 0, 0, track.track_id, 0, 0)  # ..., reserved, duration
    volume = 0 if track.kind is MediaKind.VIDEO else _FULL_VOLUME
    layer = struct.pack(">4H", 0, 0, volume, 0)  # layer, alternate_group, volume, reserved
    width, height = presentation_size(track.config)
    size = struct.pack(">2I", width, height)
    return full_box(b"tkhd", 0, _ENABLED_IN_MOVIE, ids, layer, _UNITY_MATRIX, size)


def _trex(track: Track) -> bytes:
    # Sample description 1; durations, sizes and flags are said by every fragment.
    return full_box(b"trex", 0, 0, struct.pack(">5I", track.track_id, 1, 0, 0, 0))
