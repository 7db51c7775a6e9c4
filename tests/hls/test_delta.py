"""A window fed at random, seen by players: whole playlists, delta updates, resources.

Every state is read by the strict reader; every delta update is merged with every older playlist
that a player may hold, by a merger that knows nothing of ours (8216bis 6.2.5.1, 6.3.7).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from hlsorigin.hls.delivery import Wanted, is_satisfied
from hlsorigin.hls.playlist import RenditionReport, ServerControl, Skip, render_date
from hlsorigin.hls.window import Part, Removed, ResourceKind, Segment, Window
from hlsorigin.media.timebase import TIMESCALE
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.hls_delta import assert_merges, check_delta
from tests.support.hls_playlist import MediaPlaylist, parse_media_playlist

TARGET_S = 2
TARGET_90K = TARGET_S * TIMESCALE
BOUNDARY_90K = 6 * TARGET_90K
#: EXTINF, rounded, may be two seconds.
LONGEST_90K = TARGET_90K + TIMESCALE // 2 - 1
START_DATE_90K = 1767225600 * TIMESCALE


@dataclass(slots=True)
class Range:
    """A date range with its tags, as far as a playlist needs it."""

    range_id: str
    start_date_90k: int
    added_90k: int
    end_90k: int | None = None
    end_added_90k: int = 0


@dataclass(frozen=True, slots=True)
class RangeTag:
    """One EXT-X-DATERANGE."""

    range_id: str
    start_date_90k: int
    added_90k: int
    end_date_90k: int | None = None

    def render(self) -> str:
        end = f',END-DATE="{render_date(self.end_date_90k)}"' if self.end_date_90k else ""
        start = render_date(self.start_date_90k)
        return f'#EXT-X-DATERANGE:ID="{self.range_id}",START-DATE="{start}"{end}'


@dataclass(slots=True)
class Producer:
    """What the window is told, and when, on a clock that follows the media."""

    window: Window
    part_target_90k: int
    has_maps: bool
    now_90k: int = 0
    date_90k: int = START_DATE_90K
    map_number: int = 0
    parts: int = 0
    hint: str | None = None
    needs_discontinuity: bool = False
    tags: list[RangeTag] = field(default_factory=list)
    removed_ranges: list[tuple[int, str]] = field(default_factory=list)
    #: Until when each resource that left is kept.
    kept_until_90k: dict[str, float] = field(default_factory=dict)
    map_of: dict[str, str | None] = field(default_factory=dict)

    @property
    def map_name(self) -> str | None:
        return f"init-{self.map_number}.mp4" if self.has_maps else None

    def part_name(self) -> str:
        """Parts are numbered over all segments, so that a hint always comes true."""
        return f"p{self.parts}.m4s"


class Players(RuleBasedStateMachine):
    """Feeds a window; every state is published and checked."""

    def __init__(self) -> None:
        super().__init__()
        self.checker = LivePlaylistChecker()
        self.held: list[tuple[int, MediaPlaylist]] = []  # what players fetched, and when
        self.open_90k = 0
        self.open_independent = False
        self.open_date_90k = 0
        self.open_discontinuity = False
        self.must_close = False
        self.ranges = 0
        self.waiting: set[Wanted] = set()
        self.longest_90k: dict[str, int] = {}  # longest playlist seen with each segment

    @initialize(
        listed=st.integers(3, 12),
        part_target_90k=st.sampled_from([45000, 45045, 18001, 90000, 44999]),
        has_maps=st.booleans(),
        lengths=st.lists(st.integers(TIMESCALE, LONGEST_90K), min_size=1, max_size=12),
    )
    def start(self, listed: int, part_target_90k: int, has_maps: bool, lengths: list[int]) -> None:
        self.feed = Producer(Window(listed, 1000, 5), part_target_90k, has_maps)
        self.window = self.feed.window
        for length in lengths:
            self.add_whole_segment(length, independent=True)
        self.publish()

    # ---- what an encoder does --------------------------------------------------------------

    @precondition(lambda self: not self.window.is_ended and not self.window.has_open_segment)
    @rule(
        discontinuity=st.sampled_from([False, False, False, True]),
        new_map=st.sampled_from([False, False, False, True]),
        jump_s=st.integers(0, 5),
    )
    def open_segment(self, discontinuity: bool, new_map: bool, jump_s: int) -> None:
        self.begin(discontinuity, new_map and self.feed.has_maps, jump_s)
        self.window.open_segment(self.open_date_90k, self.open_discontinuity, self.feed.map_name)
        self.publish()

    @precondition(lambda self: self.window.has_open_segment and not self.must_close)
    @rule(percent=st.integers(85, 100), independent=st.booleans(), short=st.integers(0, 9))
    def append_part(self, percent: int, independent: bool, short: int) -> None:
        target = self.feed.part_target_90k
        duration = max(-(-target * percent // 100), -(-target * 85 // 100) + 1)
        if short == 0:  # the last of its segment may be as short as it likes
            duration, self.must_close = max(1, target // 7), True
        duration = min(duration, target)
        if self.open_90k + duration > LONGEST_90K:
            self.must_close = True
            return
        self.open_independent = self.open_independent or not self.open_90k
        self.put_part(duration, independent or not self.open_90k)
        self.publish()

    @precondition(lambda self: self.window.has_open_segment and self.open_90k)
    @rule()
    def close_segment(self) -> None:
        self.close()
        self.publish()

    @precondition(lambda self: self.window.has_open_segment)
    @rule()
    def lose_segment(self) -> None:
        msn = self.window.next_msn
        self.retire(self.window.abandon_open(f"gap-{msn}.m4s", TARGET_S))
        self.feed.needs_discontinuity = True
        self.begin_nothing()
        self.publish()

    @precondition(lambda self: not self.window.is_ended and not self.window.has_open_segment)
    @rule(length=st.integers(TIMESCALE // 2, LONGEST_90K), independent=st.booleans())
    def append_whole_segment(self, length: int, independent: bool) -> None:
        self.add_whole_segment(length, independent=independent)
        self.publish()

    @precondition(lambda self: not self.window.is_ended and not self.window.has_open_segment)
    @rule(
        segments=st.integers(1, 4),
        count=st.integers(1, 30),
        discontinuity=st.booleans(),
        new_map=st.booleans(),
    )
    def append_segments(
        self, segments: int, count: int, discontinuity: bool, new_map: bool
    ) -> None:
        for index in range(segments):
            is_first = index == 0
            self.begin(is_first and discontinuity, is_first and new_map and self.feed.has_maps, 0)
            self.window.open_segment(
                self.open_date_90k, self.open_discontinuity, self.feed.map_name
            )
            target = self.feed.part_target_90k
            for part in range(min(count, max(1, LONGEST_90K // target))):
                self.put_part(target, part == 0)
                self.publish()
            self.close()
            self.publish()

    @precondition(lambda self: not self.window.has_open_segment)
    @rule(really=st.integers(0, 8))
    def end(self, really: int) -> None:
        if really == 0 and self.window.segments:
            self.window.end()
            self.publish()

    # ---- date ranges -----------------------------------------------------------------------

    @precondition(lambda self: not self.window.is_ended)
    @rule(ahead_s=st.integers(-6, 6), length_s=st.one_of(st.none(), st.integers(0, 9)))
    def add_range(self, ahead_s: int, length_s: int | None) -> None:
        start = max(self.feed.date_90k + ahead_s * TIMESCALE, START_DATE_90K)
        end = None if length_s is None else start + length_s * TIMESCALE
        self.ranges += 1
        self.feed.tags.append(RangeTag(f"r{self.ranges}", start, self.feed.now_90k, end))
        self.publish()

    @precondition(lambda self: not self.window.is_ended)
    @rule()
    def end_range(self) -> None:
        """A second tag with the same ID says where it ends (4.4.5.1.1)."""
        ended = {tag.range_id for tag in self.feed.tags if tag.end_date_90k is not None}
        for tag in self.feed.tags:
            if tag.range_id not in ended:
                end = max(tag.start_date_90k, self.feed.date_90k)
                closing = RangeTag(tag.range_id, tag.start_date_90k, self.feed.now_90k, end)
                self.feed.tags.append(closing)
                break
        self.publish()

    # ---- the players -----------------------------------------------------------------------

    @rule(ahead=st.integers(0, 2), part=st.one_of(st.none(), st.integers(0, 6)))
    def wait(self, ahead: int, part: int | None) -> None:
        self.waiting.add(Wanted(self.window.next_msn + ahead - 1, part))

    @invariant()
    def who_waits_is_satisfied_when_the_playlist_shows_it(self) -> None:
        playlist = self.checker.playlist
        if playlist is None:
            return
        opened = playlist.open_segment
        for wanted in sorted(self.waiting, key=lambda each: (each.msn, each.part or 0)):
            complete = wanted.msn < playlist.next_msn
            later = wanted.msn < playlist.next_msn - 1
            seen = playlist.ended or later or (complete and wanted.part is None)
            if wanted.part is not None and not seen:
                if complete:
                    size = len(self.checker.parts.parts.get(wanted.msn, ()))
                    seen = wanted.part < size or opened is not None
                elif opened is not None and wanted.msn == opened.msn:
                    seen = wanted.part < len(opened.parts)
            assert is_satisfied(wanted, self.window.edge) == seen, wanted
            if seen:
                self.waiting.discard(wanted)

    # ---- how it is done --------------------------------------------------------------------

    def begin(self, discontinuity: bool, new_map: bool, jump_s: int) -> None:
        feed = self.feed
        feed.map_number += new_map
        discontinuity = discontinuity or new_map or feed.needs_discontinuity
        feed.needs_discontinuity = False
        if discontinuity:
            feed.date_90k += jump_s * TIMESCALE
        self.begin_nothing()
        self.open_date_90k, self.open_discontinuity = feed.date_90k, discontinuity

    def begin_nothing(self) -> None:
        self.open_90k, self.must_close = 0, False

    def put_part(self, duration_90k: int, independent: bool) -> None:
        feed = self.feed
        name = feed.part_name()
        feed.parts += 1
        feed.now_90k += duration_90k
        feed.date_90k += duration_90k
        self.open_90k += duration_90k
        self.retire(self.window.append_part(Part(name, duration_90k, independent, 100)))

    def close(self) -> None:
        self.put_segment(self.open_90k, True)
        self.begin_nothing()

    def add_whole_segment(self, length_90k: int, *, independent: bool) -> None:
        self.begin(False, False, 0)
        self.feed.now_90k += length_90k
        self.feed.date_90k += length_90k
        self.put_segment(length_90k, independent)

    def put_segment(self, length_90k: int, independent: bool) -> None:
        msn = self.window.next_msn
        segment = Segment(
            msn=msn,
            name=f"s{msn}.m4s",
            duration_90k=length_90k,
            program_date_90k=self.open_date_90k,
            discontinuity=self.open_discontinuity,
            independent=independent,
            size_bytes=1000,
            map_name=self.feed.map_name,
        )
        self.feed.map_of[segment.name] = segment.map_name
        self.retire(self.window.append(segment, TARGET_S))

    def retire(self, removed: list[Removed]) -> None:
        kept = self.feed.kept_until_90k
        for each in removed:
            assert each.name not in kept, f"{each.name} left twice"
            until = self.feed.now_90k + each.retain_s * TIMESCALE
            kept[each.name] = until
            if each.kind is ResourceKind.PART:
                assert each.retain_s == 3 * TARGET_S  # 6.2.2
            elif each.kind is ResourceKind.SEGMENT:
                longest = self.longest_90k.get(each.name, 0) + each.segment.duration_90k
                assert each.retain_s * TIMESCALE >= longest - TIMESCALE // 1000
            else:
                users = [kept[name] for name, used in self.feed.map_of.items() if used == each.name]
                assert not users or until >= max(users), f"{each.name} goes before its segments"

    def publish(self) -> None:
        """Show the state, and have it read."""
        self.expire_ranges()
        feed = self.feed
        since = feed.now_90k - BOUNDARY_90K
        last_part = self.window.last_part
        reports = [RenditionReport("a0.m3u8", *last_part)] if last_part is not None else []
        playlist = self.window.playlist(
            TARGET_S,
            part_target_90k=feed.part_target_90k,
            server_control=ServerControl.for_live(TARGET_S, feed.part_target_90k),
            hint=feed.part_name(),
            reports=reports,
            date_ranges=feed.tags,
            recent_date_ranges=[tag for tag in feed.tags if tag.added_90k >= since],
            removed_date_ranges=[i for at, i in feed.removed_ranges if at >= since],
        )
        text = playlist.render()
        assert playlist.render() == text  # rule 126
        self.checker.feed(text)
        full = self.checker.playlist
        assert full is not None
        self.check_resources(full)
        for segment in full.segments:
            seen = self.longest_90k.get(segment.uri, 0)
            self.longest_90k[segment.uri] = max(seen, int(full.edge_s * TIMESCALE))
        self.held = [each for each in self.held if feed.now_90k - each[0] <= BOUNDARY_90K // 2]
        self.held.append((feed.now_90k, full))
        for skip in (Skip.YES, Skip.V2):
            delta_text = playlist.render(skip)
            if full.ended:
                assert delta_text == text  # rule 124
            if delta_text == text:
                check_delta(full, full)
                continue
            delta = parse_media_playlist(delta_text)
            assert delta.version == (10 if skip is Skip.V2 else 9)
            assert (delta.removed_date_ranges is None) == (skip is Skip.YES)
            check_delta(full, delta)
            # The oldest, and some of the others.
            for _, old in self.held[:: 1 + len(self.held) // 6]:
                assert_merges(old, delta, full)

    def expire_ranges(self) -> None:
        """Rule 25: a range goes when all its dates lie before the first segment."""
        segments = self.window.segments
        if not segments or self.window.is_ended:
            return
        first = segments[0].program_date_90k - TIMESCALE // 1000
        over = {t.range_id for t in self.feed.tags if (t.end_date_90k or 2**62) < first}
        self.feed.tags = [tag for tag in self.feed.tags if tag.range_id not in over]
        self.feed.removed_ranges += [(self.feed.now_90k, each) for each in sorted(over)]

    def check_resources(self, playlist: MediaPlaylist) -> None:
        """Whatever is named is there (invariant 1 of the design)."""
        named = {segment.uri for segment in playlist.segments if not segment.gap}
        named |= {part.uri for segment in playlist.segments for part in segment.parts}
        parents = [*playlist.segments]
        maps = {str(segment.init_map) for segment in parents}
        if playlist.open_segment is not None:
            named |= {part.uri for part in playlist.open_segment.parts}
            maps.add(str(playlist.open_segment.init_map))
        named |= {text.removeprefix('URI="').removesuffix('"') for text in maps}
        named |= {uri for kind, uri in playlist.hints.items() if kind == "MAP"}
        gone = named & self.feed.kept_until_90k.keys()
        assert not gone, f"{gone} left and is named"

    def teardown(self) -> None:
        assert self.checker.parts.hints_given_up == 0


TestPlayers = Players.TestCase
TestPlayers.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
