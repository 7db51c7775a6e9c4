"""What a sample must hold for its codec: rules 72, 73, 74 (part of ``mp4_reader``)."""

from __future__ import annotations

from tests.support.mp4_boxes import Bits, check
from tests.support.mp4_codecs import AAC, object_type, split_obus
from tests.support.mp4_init import InitTrack

_AVC_IDR, _AVC_PARAMETER_SETS = 5, {7, 8, 13}
_HEVC_PARAMETER_SETS = {32, 33, 34}
_OBU_SEQUENCE_HEADER, _OBU_TEMPORAL_DELIMITER, _OBU_FRAME_HEADERS, _OBU_TILE_LIST = (
    1, 2, {3, 6}, 8
)  # fmt: skip


def check_sample(track: InitTrack, data: bytes, is_sync: bool) -> bool:
    """Check a sample; give whether decoding can start there by what is in it.

    For avc1 that is an IDR picture; a sync sample without one is not refused here.
    """
    where = f"track {track.track_id} ({track.codec})"
    match track.codec:
        case "avc1" | "avc3":
            found = _check_avc(track, data, where)
            check(is_sync or not found, 72, f"{where}: an IDR picture is not flagged as sync")
            return found
        case "hvc1" | "hev1":
            found = _check_hevc(track, data, where)
        case "av01":
            found = _check_av1(data, where)
        case "vp09":
            found = _is_vp9_key(data, where)
        case _:
            found = True
            _check_audio(track, data, where)
    check(found == is_sync, 72, f"{where}: flagged sync={is_sync}, its data says {found}")
    return found


def split_nals(data: bytes, length_bytes: int, where: str) -> list[bytes]:
    """Give the NAL units of a sample (14496-15 4.3.2)."""
    nals, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        check(0 < size <= len(data) - at, 73, f"{where}: NAL of {size}, {len(data) - at} left")
        nals.append(data[at : at + size])
        at += size
    for nal in nals:
        raw = b"\0\0\0" in nal or b"\0\0\1" in nal or b"\0\0\2" in nal or nal[-1] == 0
        check(not raw, 73, f"{where}: a start code inside a NAL unit, or a zero at its end")
        check(nal[0] < 128, 73, f"{where}: forbidden_zero_bit is 1")
    return nals


def _check_avc(track: InitTrack, data: bytes, where: str) -> bool:
    nals = split_nals(data, track.entry.nal_length_bytes, where)
    kinds = [nal[0] & 31 for nal in nals]
    if track.codec == "avc1":
        inside = sorted(_AVC_PARAMETER_SETS & set(kinds))
        check(not inside, 73, f"{where}: parameter sets {inside} in a sample")
    slices = {kind for kind in kinds if 1 <= kind <= 5}
    check(bool(slices), 73, f"{where}: no slice, only NAL types {kinds}")
    check(9 not in kinds[1:], 73, f"{where}: an AUD that is not the first NAL unit")
    check(slices == {_AVC_IDR} or _AVC_IDR not in slices, 72, f"{where}: IDR and other slices")
    return _AVC_IDR in slices


def _check_hevc(track: InitTrack, data: bytes, where: str) -> bool:
    nals = split_nals(data, track.entry.nal_length_bytes, where)
    check(all(len(nal) > 2 for nal in nals), 73, f"{where}: a NAL unit of less than 3 bytes")
    kinds = [nal[0] >> 1 for nal in nals]
    if track.codec == "hvc1":
        inside = sorted(_HEVC_PARAMETER_SETS & set(kinds))
        check(not inside, 73, f"{where}: parameter sets {inside} in a sample")
    slices = {kind for kind in kinds if kind < 32}
    check(bool(slices), 73, f"{where}: no slice, only NAL types {kinds}")
    check(35 not in kinds[1:], 73, f"{where}: an AUD that is not the first NAL unit")
    random_access = {kind for kind in slices if 16 <= kind <= 23}
    check(random_access in (set(), slices), 72, f"{where}: IRAP and other slices {slices}")
    return bool(random_access)


def _check_av1(data: bytes, where: str) -> bool:
    """Say whether it is a key frame behind a sequence header (AV1 in ISOBMFF 2.4)."""
    obus = split_obus(data)
    kinds = [kind for kind, _ in obus]
    forbidden = {_OBU_TEMPORAL_DELIMITER, _OBU_TILE_LIST} & set(kinds)
    check(not forbidden, 73, f"{where}: OBU types {sorted(forbidden)} in a sample")
    frames = [index for index, kind in enumerate(kinds) if kind in _OBU_FRAME_HEADERS]
    check(bool(frames), 73, f"{where}: no frame, only OBU types {kinds}")
    bits = Bits(obus[frames[0]][1][:1], where, 73)
    is_shown_again = bits.read(1)
    is_key = not is_shown_again and bits.read(2) == 0 and bits.read(1) == 1
    has_header = _OBU_SEQUENCE_HEADER in kinds[: frames[0]]
    check(has_header or not is_key, 72, f"{where}: a key frame without a sequence header")
    return is_key


def _is_vp9_key(data: bytes, where: str) -> bool:
    """Read the start of the uncompressed header (VP9 6.2)."""
    bits = Bits(data[:2], where, 73)
    check(bits.read(2) == 2, 73, f"{where}: frame_marker")
    profile = bits.read(1) | bits.read(1) << 1
    if profile == 3:
        bits.read(1)
    return not bits.read(1) and bits.read(1) == 0


def _check_audio(track: InitTrack, data: bytes, where: str) -> None:
    first = int.from_bytes(data[:2], "big")
    codec = track.codec
    if codec == ".mp3" or (codec == "mp4a" and object_type(track.configs["esds"]) != AAC):
        check(first >> 5 == 0x7FF, 74, f"{where}: no MPEG audio header, but {first:#06x}")
    elif codec == "mp4a":
        check(first >> 4 != 0xFFF, 74, f"{where}: ADTS in a sample")
    elif codec in ("ac-3", "ec-3"):
        check(first == 0x0B77, 74, f"{where}: no sync word, but {first:#06x}")
    elif codec == "fLaC":
        check(first >> 2 == 0x3FFE, 74, f"{where}: no frame sync code, but {first:#06x}")
