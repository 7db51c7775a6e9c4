"""Checks the low-latency tags of a live media playlist over time against the numbered rules."""

from __future__ import annotations

from datetime import datetime

from tests.support.hls_playlist import (
    MediaPart,
    MediaPlaylist,
    OpenSegment,
    date_range_span,
    require,
)


class PartChecker:
    """Checks parts, hints, reports and date ranges from one whole playlist to the next."""

    def __init__(self) -> None:
        #: Every part ever listed, by the MSN of its segment.
        self.parts: dict[int, tuple[MediaPart, ...]] = {}
        #: How often something else came than what was hinted: it costs the player a 404.
        self.hints_given_up = 0
        self._owner: dict[str, tuple[int, int]] = {}  # URI of a part -> MSN, index
        self._opened: dict[int, OpenSegment] = {}
        self._left: set[int] = set()  # MSN of segments whose parts left
        self._forsaken: set[str] = set()  # hints that were given up
        self._reports: dict[str, tuple[int, int]] = {}
        self._gone_ranges: set[str] = set()

    def feed(self, old: MediaPlaylist | None, new: MediaPlaylist) -> None:
        """Check a playlist against the one before it and all that was ever listed.

        Raises:
            RuleViolation: 25, 31, 33, 47, 95, 96, 101, 105, 109.
        """
        if old is not None:
            require(95, old.part_target_s == new.part_target_s, "PART-TARGET changed")
            control = (old.server_control, new.server_control)
            require(96, control[0] == control[1], f"EXT-X-SERVER-CONTROL {control}")
        self._check_opened(old, new)
        before = set(self._owner)
        self._check_parts(new)
        if old is not None and (hint := old.hints.get("PART")) is not None:
            self._check_hint(hint, [uri for uri in self._owner if uri not in before])
        self._check_reports(new)
        if old is not None:
            self._check_date_ranges(old, new)

    def _check_opened(self, old: MediaPlaylist | None, new: MediaPlaylist) -> None:
        """Rules 31 and 33: a segment that was open is still there, and what it was."""
        if old is not None and old.open_segment is not None:
            has_more = new.next_msn > old.next_msn or new.open_segment is not None
            require(33, has_more, f"the open segment {old.next_msn} vanished")
        for segment in new.segments:
            opened = self._opened.get(segment.msn)
            if opened is not None:
                require(31, opened.as_started(segment) == segment, f"{opened} became {segment}")
        opened_now = new.open_segment
        if opened_now is not None:
            known = self._opened.setdefault(opened_now.msn, opened_now)
            as_then = OpenSegment(
                known.msn,
                known.dsn,
                known.program_date_time,
                known.discontinuity,
                known.key,
                known.init_map,
                opened_now.parts,
            )
            require(31, as_then == opened_now, f"{known} became {opened_now}")

    def _check_parts(self, new: MediaPlaylist) -> None:
        listed = [(each.msn, each.parts) for each in new.segments]
        if new.open_segment is not None:
            listed.append((new.open_segment.msn, new.open_segment.parts))
        have_begun = False
        for msn, parts in listed:
            known = self.parts.get(msn, ())
            if not parts:
                require(101, not known or not have_begun, f"parts of {msn} left before older ones")
                if known:
                    self._left.add(msn)
                continue
            have_begun = True
            require(101, msn not in self._left, f"parts of {msn} came back")
            require(31, parts[: len(known)] == known, f"parts of {msn} were {known}, now {parts}")
            self.parts[msn] = parts
            for index, part in enumerate(parts):
                owner = self._owner.setdefault(part.uri, (msn, index))
                require(47, owner == (msn, index), f"{part.uri} was part {owner}")
                require(105, part.uri not in self._forsaken, f"{part.uri} was given up")

    def _check_hint(self, hint: str, added: list[str]) -> None:
        if added and added[0] != hint:
            require(105, hint not in added, f"{hint} was hinted, {added[0]} came first")
            self.hints_given_up += 1
            self._forsaken.add(hint)

    def _check_reports(self, new: MediaPlaylist) -> None:
        for report in new.reports:
            last_part = -1 if report.last_part is None else report.last_part
            reached = (report.last_msn, last_part)
            before = self._reports.get(report.uri, reached)
            require(109, reached >= before, f"report of {report.uri} went from {before} back")
            self._reports[report.uri] = reached

    def _check_date_ranges(self, old: MediaPlaylist, new: MediaPlaylist) -> None:
        for range_id, attributes in old.date_ranges.items():
            if range_id in new.date_ranges:
                now = new.date_ranges[range_id]
                require(24, attributes.items() <= now.items(), f"{attributes} became {now}")
                continue
            self._gone_ranges.add(range_id)
            require(25, not _maps_to(attributes, new), f"{range_id} was removed too early")
        reused = self._gone_ranges & new.date_ranges.keys()
        require(25, not reused, f"IDs used again: {reused}")


def _maps_to(attributes: dict[str, str] | object, playlist: MediaPlaylist) -> bool:
    """Say whether a date of the range maps to a listed segment."""
    assert isinstance(attributes, dict)
    start, end = date_range_span(attributes)
    first, last = _dates(playlist)
    if start is None or first is None or last is None:
        return False
    return start < last and (end is None or end >= first)


def _dates(playlist: MediaPlaylist) -> tuple[datetime | None, datetime | None]:
    """Give the dates at which the first segment begins and the last one."""
    dates = [each.program_date_time for each in playlist.segments]
    if playlist.open_segment is not None:
        dates.append(playlist.open_segment.program_date_time)
    return (dates[0], dates[-1]) if dates else (None, None)
