"""Merges a playlist delta update with an older playlist, as a player does (8216bis 6.3.7).

Written from the clauses; it knows nothing of our own code.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from tests.support.hls_playlist import (
    MediaPlaylist,
    MediaSegment,
    OpenSegment,
    RuleViolation,
    require,
)


def merge(old: MediaPlaylist, delta: MediaPlaylist) -> MediaPlaylist:
    """Give the whole playlist that the server has now.

    Args:
        old: a whole playlist that was fetched before; a playlist that is whole itself needs none.
        delta: what came with ``_HLS_skip``.
    Raises:
        RuleViolation: 123, something was skipped that the older playlist does not have: the player
            has to fetch the whole playlist again.
    """
    if delta.skipped is None:
        return delta
    known = {each.msn: each for each in old.segments}
    wanted = range(delta.media_sequence, delta.media_sequence + delta.skipped)
    missing = [msn for msn in wanted if msn not in known]
    require(123, not missing, f"segments {missing} were skipped and are not known")
    # Parts of what is skipped have left: they are further from the end than three target durations.
    skipped = [replace(known[msn], parts=()) if known[msn].parts else known[msn] for msn in wanted]
    listed, opened = _continue(skipped[-1], delta) if skipped else (delta.segments, None)
    return replace(
        delta,
        version=old.version,
        segments=(*skipped, *listed),
        open_segment=opened,
        date_ranges=_merge_date_ranges(old, delta),
        skipped=None,
        removed_date_ranges=None,
    )


def _continue(
    last: MediaSegment, delta: MediaPlaylist
) -> tuple[tuple[MediaSegment, ...], OpenSegment | None]:
    """Carry over what the skipped segments leave in force.

    The numbers of discontinuities (EXT-X-SKIP leaves EXT-X-DISCONTINUITY-SEQUENCE as it is,
    4.4.5.2, though the tags behind it are gone), EXT-X-MAP and EXT-X-KEY.
    """
    first = delta.segments[0]
    missed = last.dsn + first.discontinuity - first.dsn
    init_map, key = last.init_map, last.key
    listed = []
    for segment in delta.segments:
        init_map, key = segment.init_map or init_map, segment.key or key
        if missed or init_map != segment.init_map or key != segment.key:
            segment = replace(segment, dsn=segment.dsn + missed, init_map=init_map, key=key)
        listed.append(segment)
    opened = delta.open_segment
    if opened is not None:
        init_map, key = opened.init_map or init_map, opened.key or key
        opened = replace(opened, dsn=opened.dsn + missed, init_map=init_map, key=key)
    return tuple(listed), opened


def _merge_date_ranges(old: MediaPlaylist, delta: MediaPlaylist) -> dict[str, dict[str, str]]:
    if delta.removed_date_ranges is None:  # only segments are skipped
        return {range_id: dict(each) for range_id, each in delta.date_ranges.items()}
    merged = {
        range_id: dict(each)
        for range_id, each in old.date_ranges.items()
        if range_id not in delta.removed_date_ranges
    }
    for range_id, attributes in delta.date_ranges.items():
        known = merged.setdefault(range_id, {})
        for name, value in attributes.items():
            require(123, known.setdefault(name, value) == value, f"{name} of {range_id} differs")
    return merged


#: What a delta update leaves as it is.
_KEPT: Final = (
    "target_duration_s",
    "media_sequence",
    "discontinuity_sequence",
    "playlist_type",
    "part_target_s",
    "server_control",
    "hints",
    "reports",
    "independent_segments",
    "ended",
)


def check_delta(full: MediaPlaylist, delta: MediaPlaylist) -> None:
    """Check a delta update against the whole playlist of the same moment.

    Raises:
        RuleViolation: 121, 122, 125.
    """
    control = full.server_control or {}
    boundary_s = Decimal(control.get("CAN-SKIP-UNTIL", "Infinity"))
    far = _count_far(full, boundary_s)
    if delta.skipped is None:
        require(122, delta == full, "neither a delta update nor the whole playlist")
        # One segment of slack: the end may or may not include the parts of the open segment.
        require(122, far <= 1 or full.ended, f"{far} segments could be skipped")
        return
    require(121, delta.skipped > 0, "SKIPPED-SEGMENTS=0")
    require(122, far - 1 <= delta.skipped <= far, f"{delta.skipped} skipped, {far} are far enough")
    for name in _KEPT:
        values = (getattr(full, name), getattr(delta, name))
        require(121, values[0] == values[1], f"{name} is {values}")
    listed = delta.skipped + len(delta.segments)
    require(121, listed == len(full.segments), f"{listed} skipped and listed")
    for skipped in full.segments[: delta.skipped]:
        require(122, not skipped.parts, f"parts of {skipped.uri} were skipped")
    if delta.removed_date_ranges is None:
        require(122, delta.date_ranges == full.date_ranges, "date ranges were skipped")
    else:
        unknown = delta.date_ranges.keys() - full.date_ranges.keys()
        require(125, not unknown, f"unknown date ranges {unknown}")
        listed_still = full.date_ranges.keys() & set(delta.removed_date_ranges)
        require(125, not listed_still, f"{listed_still} are said to be removed")


def _count_far(full: MediaPlaylist, boundary_s: Decimal) -> int:
    """Give how many segments end further from the end than the skip boundary."""
    to_end_s = full.edge_s
    far = 0
    for segment in full.segments:
        to_end_s -= segment.duration_s
        if to_end_s <= boundary_s:
            break
        far += 1
    return far


def assert_merges(old: MediaPlaylist, delta: MediaPlaylist, full: MediaPlaylist) -> None:
    """Rule 123.

    Raises:
        RuleViolation: 123.
    """
    merged = replace(merge(old, delta), version=full.version)
    if merged != full:
        names = [n for n in merged.__slots__ if getattr(merged, n) != getattr(full, n)]
        values = [(getattr(merged, n), getattr(full, n)) for n in names]
        raise RuleViolation(123, f"{names} differ: {values}")
