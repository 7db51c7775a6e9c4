"""Checks a live media playlist over time against the numbered rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from tests.support.hls_low_latency import PartChecker
from tests.support.hls_multivariant import Rendition, Variant, check_multivariant
from tests.support.hls_playlist import (
    MediaPlaylist,
    MediaSegment,
    RuleViolation,
    parse_media_playlist,
    require,
)

__all__ = [
    "LivePlaylistChecker",
    "MediaPlaylist",
    "MediaSegment",
    "Rendition",
    "RuleViolation",
    "Variant",
    "check_multivariant",
    "parse_media_playlist",
]

# Program dates are printed in milliseconds, EXTINF in microseconds: what rounding may add up to.
_DATE_ROUNDING: Final = timedelta(milliseconds=1)
_DURATION_ROUNDING: Final = timedelta(microseconds=1)


class LivePlaylistChecker:
    """Checks what one client sees of one live media playlist, poll by poll.

    It holds every segment ever listed, so a playlist that comes back to an old state is found
    however long ago that was.
    """

    def __init__(self) -> None:
        #: The last playlist fed.
        self.playlist: MediaPlaylist | None = None
        #: Every segment ever listed, by media sequence number.
        self.segments: dict[int, MediaSegment] = {}
        self._text = ""
        self._msn_by_resource: dict[tuple[str, tuple[int, int] | None], int] = {}
        self._appended_at_s: float | None = None
        self.parts = PartChecker()

    def feed(self, text: str, now_s: float | None = None) -> list[MediaSegment]:
        """Check the next state of the playlist.

        Args:
            text: the playlist as served.
            now_s: monotonic seconds when it came; None leaves out rule 35 until the next segment
                that is fed with a time (nobody publishes, for example).
        Returns:
            the segments not listed before.
        Raises:
            RuleViolation: an AssertionError that names the rule.
        """
        playlist = parse_media_playlist(text)
        require(121, playlist.skipped is None, "a delta update where a whole playlist was asked")
        _check_live(playlist)
        if self.playlist is not None:
            self._check_change(self.playlist, playlist, text)
        self._check_known_segments(playlist)
        self.parts.feed(self.playlist, playlist)
        appended = [each for each in playlist.segments if each.msn not in self.segments]
        for segment in appended:
            resource = (segment.uri, segment.byte_range)
            owner = self._msn_by_resource.setdefault(resource, segment.msn)
            require(47, owner == segment.msn, f"{segment.uri} was {owner}, now {segment.msn}")
            # Its parts leave before it does: PartChecker looks after them.
            self.segments[segment.msn] = replace(segment, parts=())
        self._check_dates(playlist)
        self._check_pace(playlist, bool(appended), now_s)
        self.playlist, self._text = playlist, text
        return appended

    def _check_change(self, old: MediaPlaylist, new: MediaPlaylist, text: str) -> None:
        require(29, not old.ended or text == self._text, "change after EXT-X-ENDLIST")
        require(
            11,
            new.target_duration_s == old.target_duration_s,
            f"target duration {old.target_duration_s} became {new.target_duration_s}",
        )
        removed = new.media_sequence - old.media_sequence
        require(32, removed >= 0, f"media sequence {old.media_sequence} -> {new.media_sequence}")
        require(33, new.next_msn >= old.next_msn, f"edge {old.next_msn} -> {new.next_msn}")
        require(
            34,
            (new.discontinuity_sequence or 0) >= (old.discontinuity_sequence or 0),
            f"discontinuity sequence {old.discontinuity_sequence} -> {new.discontinuity_sequence}",
        )
        left_s, needed_s = new.duration_s, 3 * new.target_duration_s
        require(36, not removed or left_s >= needed_s, f"{left_s} s left, {needed_s} s needed")

    def _check_known_segments(self, playlist: MediaPlaylist) -> None:
        for new in playlist.segments:
            old = self.segments.get(new.msn)
            if old is None:
                continue
            require(31, old.uri == new.uri, f"{old.msn} was {old.uri}, now {new.uri}")
            require(34, old.dsn == new.dsn, f"{old.msn} had DSN {old.dsn}, now {new.dsn}")
            require(31, old == replace(new, parts=()), f"{old} became {new}")
        before = self.segments.get(playlist.media_sequence - 1)
        if before is not None:
            require(
                34,
                (playlist.discontinuity_sequence or 0) >= before.dsn,
                f"DISCONTINUITY-SEQUENCE {playlist.discontinuity_sequence} after the removal of "
                f"{before.msn} with number {before.dsn}",
            )

    def _check_dates(self, playlist: MediaPlaylist) -> None:
        """Rule 20, from the oldest known segment of each discontinuity on: drift shows too."""
        if not playlist.segments:
            return
        msn = playlist.segments[-1].msn
        while msn - 1 in self.segments and self.segments[msn].dsn == self.segments[msn - 1].dsn:
            msn -= 1
        sum_s, count, first = Decimal(0), 0, self.segments[msn]
        while (segment := self.segments.get(msn)) is not None:
            check_date(first, segment, sum_s, count)
            sum_s, count, msn = sum_s + segment.duration_s, count + 1, msn + 1

    def _check_pace(self, playlist: MediaPlaylist, is_appended: bool, now_s: float | None) -> None:
        """Rule 35; a poll never proves more than that nothing came since the last append seen."""
        if now_s is None or playlist.ended:
            self._appended_at_s = None
        elif is_appended:
            self._appended_at_s = now_s
        elif self._appended_at_s is not None:
            waited_s = now_s - self._appended_at_s
            require(35, waited_s <= 1.5 * playlist.target_duration_s, f"{waited_s:.2f} s")


def check_date(first: MediaSegment, later: MediaSegment, sum_s: Decimal, count: int) -> None:
    """Rule 20: ``later`` comes ``sum_s`` seconds, in ``count`` segments, after ``first``."""
    assert first.program_date_time is not None and later.program_date_time is not None
    expected = first.program_date_time + timedelta(microseconds=int(sum_s * 1_000_000))
    error = abs(later.program_date_time - expected)
    require(
        20,
        error <= _DATE_ROUNDING + (1 + count) * _DURATION_ROUNDING,
        f"date of {later.msn} is {later.program_date_time}, {expected} follows from {first.msn}",
    )


def _check_live(playlist: MediaPlaylist) -> None:
    require(27, playlist.playlist_type is None, f"EXT-X-PLAYLIST-TYPE:{playlist.playlist_type}")
    require(34, playlist.discontinuity_sequence is not None, "no EXT-X-DISCONTINUITY-SEQUENCE")
    for segment in playlist.segments:
        require(21, segment.program_date_time is not None, f"no program date on {segment.uri}")
    opened = playlist.open_segment
    if opened is not None:
        require(21, opened.program_date_time is not None, "no program date on the open segment")
    for before, after in pairwise(playlist.segments):
        # Every segment has a date: one that goes back maps to two segments.
        assert before.program_date_time is not None and after.program_date_time is not None
        require(
            20,
            after.program_date_time > before.program_date_time,
            f"date of {after.msn} is not after that of {before.msn}",
        )
        if not after.discontinuity:
            check_date(before, after, before.duration_s, 1)
