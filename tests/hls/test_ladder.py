"""hls.ladder: one timeline for the publishes of one content."""

from __future__ import annotations

from fractions import Fraction

from hlsorigin.hls.ladder import NEAR_90K, Ladder, Rung
from hlsorigin.hls.timeline import Timeline
from hlsorigin.media.timebase import TIMESCALE
from tests.support.media import video, video_track

#: FLV's clock wraps here, in ms.
WRAP_MS = 2**31
START_90K = 10 * TIMESCALE


class Publish:
    """A publish with one video track."""

    def __init__(self, ladder: Ladder, rank: int) -> None:
        self.rung = ladder.add(rank, 100)
        self.rung.begin()
        self.timeline = Timeline(START_90K, self.rung)
        self.timeline.set_track(video_track())
        self.rung.has_video = True

    def place(self, time_ms: int, wallclock_s: float) -> int:
        """Give the place of a picture."""
        self.rung.now_s = wallclock_s
        sample = video(time_ms % WRAP_MS, key=True)
        jumped = self.timeline.place(sample)
        if jumped or not self.rung.is_live:
            self.rung.anchor(sample.pts)
        self.rung.advance(self.timeline.end_90k)
        return sample.pts

    @property
    def date_offset_90k(self) -> int:
        return self.rung.date_offset_90k


def test_clocks_that_wrap_between_two_publishes_are_one() -> None:
    ladder = Ladder()
    one, other = Publish(ladder, 0), Publish(ladder, 1)
    first = one.place(WRAP_MS - 1000, 5000.0)
    assert first == START_90K
    assert other.place(WRAP_MS + 500, 5001.5) == first + 1500 * 90
    assert one.place(WRAP_MS + 1000, 5002.0) == first + 2000 * 90
    assert not other.rung.is_apart
    assert one.date_offset_90k == other.date_offset_90k == 5000 * TIMESCALE - first


def test_silence_of_the_others_does_not_make_a_clock_another() -> None:
    """The connections of the others hang: now is where the wall clock says."""
    ladder = Ladder()
    one, other = Publish(ladder, 0), Publish(ladder, 1)
    one.place(0, 5000.0)
    assert other.place(9_000, 5009.0) == START_90K + 9 * TIMESCALE
    assert not other.rung.is_apart


def test_another_clock_is_placed_by_arrival() -> None:
    ladder = Ladder()
    one, other = Publish(ladder, 0), Publish(ladder, 1)
    one.place(0, 5000.0)
    beyond_ms = NEAR_90K // 90 + 3000
    assert other.place(2000 + beyond_ms, 5002.0) == START_90K + 2 * TIMESCALE
    assert other.rung.is_apart and not one.rung.is_apart
    assert one.date_offset_90k == other.date_offset_90k


def test_who_follows_a_jump_gets_the_same_offset() -> None:
    ladder = Ladder()
    one, other = Publish(ladder, 0), Publish(ladder, 1)
    for ms in range(0, 2000, 40):
        one.place(ms, 5000 + ms / 1000)
        other.place(ms, 5000 + ms / 1000)
    jumped = one.place(7_000_000, 5002.0)
    assert other.place(7_000_040, 5002.04) == jumped + 40 * 90
    assert one.date_offset_90k == other.date_offset_90k
    assert (one.timeline.jumps, other.timeline.jumps) == (1, 1)
    assert not other.rung.is_apart


def test_first_to_come_back_is_behind_all_that_was() -> None:
    """The others come back on its clock: their times must not go back, nor their dates."""
    ladder = Ladder()
    one, other = Publish(ladder, 0), Publish(ladder, 1)
    one.place(0, 5000.0)
    end = other.place(4000, 5000.5)
    end_date = end + other.date_offset_90k
    one.rung.end(0)
    other.rung.end(0)
    one.rung.begin()
    one.timeline = Timeline(START_90K, one.rung)
    one.timeline.set_track(video_track())
    back = one.place(0, 5001.0)
    assert back >= end + TIMESCALE
    assert back + one.date_offset_90k >= end_date


def test_pictures_are_on_one_grid() -> None:
    """30000/1001 pictures a second in whole milliseconds: matching to the tick."""
    ladder = Ladder()
    origin = ladder.grid(Fraction(30_000, 1001), 12_345)
    assert origin == 12_345
    ladder.set_grid(Fraction(30_000, 1001), origin)
    assert ladder.grid(Fraction(30_000, 1001), 99_999) == 12_345


def test_first_with_video_leads() -> None:
    ladder = Ladder()
    second, first = Publish(ladder, 1), Publish(ladder, 0)
    sound = Publish(ladder, -1)
    sound.rung.has_video = False
    assert ladder.leader is None
    for each in (sound, second):
        each.place(0, 5000.0)
    assert leads(sound, second, first) == [False, True, False]
    first.place(0, 5000.0)
    assert leads(sound, second, first) == [False, False, True]
    first.rung.end(0)
    assert leads(sound, second, first) == [False, True, False]


def leads(*publishes: Publish) -> list[bool]:
    return [each.rung.leads for each in publishes]


def test_numbers_follow_the_highest() -> None:
    ladder = Ladder()
    one: Rung = ladder.add(0, 100)
    other = ladder.add(1, 100)
    one.begin()
    one.count_breaks(2)
    assert (ladder.breaks, one.is_behind, other.is_behind) == (102, False, True)
    other.begin()
    other.count_breaks(2)
    assert not other.is_behind
    one.end(1)  # the last one was never given out
    assert one.is_behind


def test_target_of_an_older_playlist_stays() -> None:
    """Invariant 5, also where the group has settled on another."""
    ladder = Ladder()
    assert ladder.targets_of(3) is ladder.targets
    assert ladder.targets_of(3) is ladder.targets
    assert ladder.targets_of(5).target_duration_s == 5
    assert ladder.targets.target_duration_s == 3
