"""A low-latency player without a screen: blocking reload, held hints, delta updates, parts."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import urljoin

import httpx

from tests.support.hls_checker import LivePlaylistChecker, MediaPlaylist, parse_media_playlist
from tests.support.hls_delta import assert_merges, check_delta
from tests.support.hls_playlist import MediaPart, parse_attributes

_TIMEOUT_S = 12.0  # requests are held for seven seconds at most


@dataclass(slots=True)
class FollowedSegment:
    """A segment whose parts were all fetched when they came."""

    parts: list[tuple[MediaPart, bytes]] = field(default_factory=list)
    #: None: it is open.
    data: bytes | None = None


class PartFollower:
    """Follows one media playlist as it grows, and checks every answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.checker = LivePlaylistChecker()
        #: By MSN, without those that had begun before.
        self.segments: dict[int, FollowedSegment] = {}
        self.init: bytes | None = None
        #: Requests for a hinted part that were answered with it.
        self.hints_answered = 0
        #: Delta updates that left something out, and were merged.
        self.deltas_merged = 0
        self.reports_followed = 0
        # trust_env: a proxy of the machine must not stand between us and 127.0.0.1.
        self._client = httpx.Client(trust_env=False, timeout=_TIMEOUT_S)

    @property
    def playlist(self) -> MediaPlaylist:
        """The latest one."""
        assert self.checker.playlist is not None
        return self.checker.playlist

    def follow(self, seconds: float) -> PartFollower:
        """Follow for so long."""
        with self._client, ThreadPoolExecutor(2) as pool:
            self._take(self._get("").text, has_missed=True)
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                self._step(pool)
        return self

    def next_part(self) -> tuple[int, int]:
        """Give MSN and index of the part that comes next."""
        opened = self.playlist.open_segment
        return self.playlist.next_msn, len(opened.parts) if opened is not None else 0

    def _get(self, uri: str) -> httpx.Response:
        response = self._client.get(urljoin(self.url, uri))
        assert response.status_code == 200, f"{uri}: {response.status_code} {response.text[:200]}"
        return response

    def _step(self, pool: ThreadPoolExecutor) -> None:
        """Ask for the next part, its playlist and its delta update before they are there."""
        before, (msn, index) = self.playlist, self.next_part()
        wanted = f"?_HLS_msn={msn}&_HLS_part={index}"
        hinted = before.hints["PART"]
        held_part = pool.submit(self._client.get, urljoin(self.url, hinted))
        held_delta = pool.submit(self._get, f"{wanted}&_HLS_skip=YES")
        self._take(self._get(wanted).text)
        # 8216bis 6.2.5.2: the answer reaches what was asked for.
        assert self.next_part() > (msn, index)
        self._check_hint(held_part.result(), msn, index, hinted)
        self._check_delta(before, parse_media_playlist(held_delta.result().text))
        self._follow_reports()

    def _take(self, text: str, *, has_missed: bool = False) -> None:
        closed = self.checker.feed(text)
        playlist = self.playlist
        listed = [(each.msn, each.parts) for each in playlist.segments]
        if playlist.open_segment is not None:
            listed.append((playlist.open_segment.msn, playlist.open_segment.parts))
        for msn, parts in listed:
            if has_missed or (msn not in self.segments and msn < playlist.next_msn - 1):
                continue
            followed = self.segments.setdefault(msn, FollowedSegment())
            for part in parts[len(followed.parts) :]:
                # 8216bis 6.2.1: what is listed can be fetched at once.
                followed.parts.append((part, self._get(part.uri).content))
        for segment in closed:
            if segment.init_map is not None and self.init is None:
                self.init = self._get(parse_attributes(segment.init_map)["URI"]).content
            if segment.msn in self.segments:
                self.segments[segment.msn].data = self._get(segment.uri).content

    def _check_hint(self, answer: httpx.Response, msn: int, index: int, hinted: str) -> None:
        """8216bis 6.2.6: the request for a hinted part is answered with the part."""
        followed = self.segments.get(msn)
        if followed is None or index >= len(followed.parts):
            assert answer.status_code == 404  # the segment ended, and that part never came
            return
        part, data = followed.parts[index]
        assert part.uri == hinted
        assert (answer.status_code, answer.content) == (200, data)
        self.hints_answered += 1

    def _check_delta(self, before: MediaPlaylist, delta: MediaPlaylist) -> None:
        full = self.playlist
        if _version(delta) != _version(full):
            return  # this machine was busy: one more came in between
        check_delta(full, delta)
        assert_merges(before, delta, full)
        self.deltas_merged += delta.skipped is not None

    def _follow_reports(self) -> None:
        """8216bis 4.4.5.4: with what a report says the other playlist can be asked for at once."""
        for report in self.playlist.reports:
            part = "" if report.last_part is None else f"&_HLS_part={report.last_part}"
            text = self._get(f"{report.uri}?_HLS_msn={report.last_msn}{part}").text
            assert parse_media_playlist(text).next_msn >= report.last_msn
            self.reports_followed += 1


def _version(playlist: MediaPlaylist) -> object:
    """Give what grows from version to version, here and in the other renditions."""
    opened = playlist.open_segment
    return playlist.next_msn, opened and len(opened.parts), playlist.reports
