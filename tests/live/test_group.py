"""live.group and hls.ladder: several publishes as variants of one entry (spec.md rule 132)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from hlsorigin.live.group import place_of
from hlsorigin.live.publisher import Publisher
from hlsorigin.live.stream import LiveStream
from hlsorigin.media.sample import Sample
from tests.support.hls_checker import LivePlaylistChecker, MediaSegment, parse_media_playlist
from tests.support.hls_multivariant import check_multivariant
from tests.support.live import LiveRig, live_rig
from tests.support.media import VIDEO, audio, video
from tests.support.muxers import read_text

pytestmark = pytest.mark.anyio

SUFFIXES = ("_1080", "_720", "_480")
NAMES = [f"live/cam{suffix}" for suffix in SUFFIXES]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class Output:
    """One quality that an encoder pushes, and what a strict player of it sees."""

    rig: LiveRig
    name: str
    #: What the encoder's clock shows at time 0 of the test.
    clock_ms: int = 0
    lag_ms: int = 0
    gop: int = 50
    publisher: Publisher | None = None
    checker: LivePlaylistChecker = field(default_factory=LivePlaylistChecker)
    #: Time of the first picture of every segment.
    first_pts: dict[int, int] = field(default_factory=dict)

    stream: LiveStream | None = None

    def connect(self, clock_ms: int | None = None) -> None:
        """Publish; with an encoder that has just been started, its clock is another one."""
        self.clock_ms = self.clock_ms if clock_ms is None else clock_ms
        self.publisher = self.rig.publish(self.name)

    @property
    def is_publishing(self) -> bool:
        return self.publisher is not None and self.publisher.is_open

    def close(self) -> None:
        if self.publisher is not None:
            self.publisher.close("gone")

    def samples(self, start_ms: int, end_ms: int) -> Iterator[tuple[float, Output, Sample]]:
        for n in range(-(-start_ms // 40), -(-end_ms // 40)):
            time_ms = (n * 40 + self.clock_ms) % 2**31
            sample = video(time_ms, key=n % self.gop == 0, cts_ms=40)
            yield n * 40 + self.lag_ms, self, sample
        for n in range(int(start_ms * 48 / 1024) + 1, int(end_ms * 48 / 1024)):
            at_ms = round(n * 1024 / 48)
            yield at_ms + self.lag_ms, self, audio((at_ms + self.clock_ms) % 2**31)

    async def look(self) -> None:
        """See the playlist as it is now."""
        stream = self.rig.hub.get(self.name)
        if stream is None or stream.media_playlist is None:
            return
        if stream is not self.stream:  # a new playlist: nothing but its numbers goes on
            last = self.checker.playlist
            self.stream, self.checker, self.first_pts = stream, LivePlaylistChecker(), {}
            if last is not None:
                playlist = parse_media_playlist(stream.media_playlist.body.decode())
                assert playlist.media_sequence >= last.next_msn
        for segment in self.checker.feed(stream.media_playlist.body.decode()):
            data = await self.rig.store.get(self.name, segment.uri)
            assert data is not None
            samples = read_text(data)
            pictures = [each.pts for each in samples if each.track_id == VIDEO]
            self.first_pts[segment.msn] = min(pictures, default=-1)

    def notes(self) -> set[str]:
        return {each.note.code for each in self.rig.stream(self.name).record.notes}

    @property
    def segments(self) -> list[MediaSegment]:
        return [self.checker.segments[msn] for msn in sorted(self.checker.segments)]

    def by_date(self) -> dict[datetime, tuple[int, int]]:
        """Give DSN and first picture of every segment by its date."""
        by_date = {}
        for each in self.segments:
            assert each.program_date_time is not None
            by_date[each.program_date_time] = (each.dsn, self.first_pts[each.msn])
        return by_date


async def play(outputs: Sequence[Output], start_ms: int, end_ms: int, look_ms: int = 100) -> None:
    """Have all outputs send what lies between these times of the test, each with its lag."""
    rig = outputs[0].rig
    arrivals = sorted(
        (each for output in outputs for each in output.samples(start_ms, end_ms)),
        key=lambda each: each[0],
    )
    looked_ms = 0.0
    for at_ms, output, sample in arrivals:
        rig.clock.now_s = max(rig.clock.now_s, 2000 + at_ms / 1000)
        assert output.publisher is not None
        output.publisher.last_media_s = rig.clock.now_s
        output.publisher.write(sample, rig.clock.wallclock_s())
        if at_ms >= looked_ms + look_ms:
            looked_ms = at_ms
            await look(outputs)
    await look(outputs)


async def look(outputs: Sequence[Output]) -> None:
    await outputs[0].rig.hub.settle()
    for each in outputs:
        await each.look()


def assert_matching(outputs: Sequence[Output], at_least: int, *, missing: int = 0) -> None:
    """Rule 132: what is the same content has the same times, dates and numbers."""
    playlists = [each.checker.playlist for each in outputs]
    assert len({(p.target_duration_s, str(p.server_control)) for p in playlists if p}) == 1
    assert len({p.part_target_s for p in playlists if p}) == 1
    first, *others = (each.by_date() for each in outputs)
    for other in others:
        common = first.keys() & other.keys()
        assert len(common) >= at_least, (sorted(first), sorted(other))
        assert {date: first[date] for date in common} == {date: other[date] for date in common}
        begin, end = max(min(first), min(other)), min(max(first), max(other))
        inside = [date for date in other if begin <= date <= end]
        # One that joins begins with a shorter segment.
        assert len(inside) - len(common) <= 1 + missing, (sorted(first), sorted(other))


async def test_one_encoder_makes_matching_variants() -> None:
    """Whatever their lag and whenever they join: the clock of the encoder is the same."""
    async with live_rig(variant_suffixes=SUFFIXES) as rig:
        best, middle, low = outputs = [
            Output(rig, name, 5_000_000, lag)
            for name, lag in zip(NAMES, (0, 300, 900), strict=True)
        ]
        middle.connect()
        await play([middle], 0, 9_000)
        best.connect()
        await play([best, middle], 9_000, 17_500)
        low.connect()
        await play(outputs, 17_500, 41_000)
        assert_matching(outputs, at_least=10)
        assert best.segments[0].msn - middle.segments[0].msn in (3, 4, 5)
        assert not best.notes() | middle.notes() | low.notes()

        group = rig.hub.group("live/cam")
        assert group is not None and group.entry is not None and group.entry_alias is not None
        variants = check_multivariant(group.entry.body.decode())
        assert [each.uri for each in variants] == [f"../cam{s}/v0.m3u8" for s in SUFFIXES]
        aliases = check_multivariant(group.entry_alias.body.decode())
        assert [each.uri for each in aliases] == [f"cam{s}/v0.m3u8" for s in SUFFIXES]
        assert rig.hub.get("live/cam") is None


async def test_reports_tell_of_the_other_variants() -> None:
    """Rules 108, 109 and 132 with low latency: one PART-TARGET, reports of what can be fetched."""
    async with live_rig(variant_suffixes=SUFFIXES, part_ms=500) as rig:
        outputs = [
            Output(rig, name, 0, lag) for name, lag in zip(NAMES, (0, 100, 200), strict=True)
        ]
        for each in outputs:
            each.connect()
        await play(outputs, 0, 25_000)
        assert_matching(outputs, at_least=9)
        for each in outputs:
            playlist = each.checker.playlist
            assert playlist is not None and playlist.part_target_s is not None
            others = [other for other in outputs if other is not each]
            assert {r.uri for r in playlist.reports} == {
                f"../{other.name.removeprefix('live/')}/v0.m3u8" for other in others
            }
            for report, other in zip(playlist.reports, others, strict=True):
                window = rig.stream(other.name).window
                assert report.last_part is not None
                assert (report.last_msn, report.last_part) <= window.last_part  # type: ignore[operator]
                assert window.next_msn - report.last_msn <= 1


async def test_other_clocks_are_placed_by_arrival_and_told() -> None:
    async with live_rig(variant_suffixes=SUFFIXES) as rig:
        best, low = Output(rig, NAMES[0], 3_000_000), Output(rig, NAMES[2], 77)
        best.connect()
        await play([best], 0, 6_000)
        low.connect()
        await play([best, low], 6_000, 30_000)
        assert best.notes() == set()
        assert low.notes() == {"variants_apart"}
        pairs = list(
            zip(
                sorted(best.by_date(), reverse=True),
                sorted(low.by_date(), reverse=True),
                strict=False,
            )
        )
        for one, other in pairs[:8]:
            assert abs((one - other).total_seconds()) < 0.1


async def test_keyframes_elsewhere_are_told_and_variants_stay_valid() -> None:
    async with live_rig(variant_suffixes=SUFFIXES) as rig:
        best, low = Output(rig, NAMES[0]), Output(rig, NAMES[2], gop=60)
        for each in (best, low):
            each.connect()
        await play([best, low], 0, 40_000)
        assert "keyframes_not_aligned" in low.notes()
        assert best.notes() == set()
        playlists = [each.checker.playlist for each in (best, low)]
        assert len({p.target_duration_s for p in playlists if p}) == 1
        dsn = {each.dsn for output in (best, low) for each in output.segments}
        assert len(dsn) == 1


async def test_jump_of_the_encoder_is_one_discontinuity_in_all() -> None:
    async with live_rig(variant_suffixes=SUFFIXES) as rig:
        outputs = [
            Output(rig, name, 9_000_000, lag) for name, lag in zip(NAMES, (0, 0, 400), strict=True)
        ]
        for each in outputs:
            each.connect()
        await play(outputs, 0, 16_000)
        for each in outputs:
            each.clock_ms = -16_000
        await play(outputs, 16_000, 32_000)
        assert_matching(outputs, at_least=13)
        for each in outputs:
            assert sum(segment.discontinuity for segment in each.segments) == 1
            assert each.notes() == {"timestamp_jump"}


async def test_encoder_that_comes_back_is_one_discontinuity_in_all() -> None:
    async with live_rig(variant_suffixes=SUFFIXES) as rig:
        outputs = [
            Output(rig, name, 0, lag) for name, lag in zip(NAMES, (0, 150, 400), strict=True)
        ]
        for each in outputs:
            each.connect()
        await play(outputs, 0, 11_000)
        for each in outputs:
            assert each.publisher is not None
            each.publisher.close("gone")
        await look(outputs)
        for each in reversed(outputs):
            each.connect(clock_ms=-20_000)  # it begins at 0 again
        await play(outputs, 20_000, 36_000)
        assert_matching(outputs, at_least=10)
        for each in outputs:
            assert sum(segment.discontinuity for segment in each.segments) == 1
            dates = [s.program_date_time for s in each.segments if s.program_date_time is not None]
            assert max((b - a).total_seconds() for a, b in zip(dates, dates[1:], strict=False)) > 9


async def test_variant_that_comes_back_alone_stays_in_step() -> None:
    """Its discontinuity is one of all of them: the numbers have to match."""
    async with live_rig(variant_suffixes=SUFFIXES) as rig:
        best, low = outputs = [Output(rig, NAMES[0]), Output(rig, NAMES[1], lag_ms=200)]
        for each in outputs:
            each.connect()
        await play(outputs, 0, 11_000)
        assert best.publisher is not None
        best.publisher.close("gone")
        await play([low], 11_000, 15_000)
        best.connect()
        await play(outputs, 15_000, 40_000)
        assert_matching(outputs, at_least=14, missing=2)
        for each in outputs:
            assert sum(segment.discontinuity for segment in each.segments) == 1
        assert not best.notes() | low.notes()


async def test_takeover_goes_on_without_a_step_back() -> None:
    """A relay sends again what it has cached: that is left out, dates and times go on."""
    async with live_rig(variant_suffixes=SUFFIXES) as rig:
        best, low = outputs = [Output(rig, NAMES[0]), Output(rig, NAMES[1])]
        for each in outputs:
            each.connect()
        await play(outputs, 0, 13_000)
        low.connect()
        await play([low], 10_000, 13_000)
        await play(outputs, 13_000, 31_000)
        assert_matching(outputs, at_least=12)


async def test_entry_leaves_out_who_has_ended_while_others_live() -> None:
    async with live_rig(variant_suffixes=SUFFIXES) as rig:
        best, low = outputs = [Output(rig, NAMES[0]), Output(rig, NAMES[2])]
        best.connect()
        assert rig.hub.group("live/cam") is not None
        assert rig.hub.group("live/cam").entry is None  # type: ignore[union-attr]
        low.connect()
        await play(outputs, 0, 9_000)
        assert best.publisher is not None and low.publisher is not None
        best.publisher.close("gone")
        await play([low], 9_000, 37_000)
        assert variants(rig) == ["../cam_1080/v0.m3u8", "../cam_480/v0.m3u8"]
        await play([low], 37_000, 45_000)
        await rig.tick()
        assert variants(rig) == ["../cam_480/v0.m3u8"]
        await best.look()
        assert best.checker.playlist is not None and best.checker.playlist.ended

        # A new one of the same name: numbers go on, and match again.
        best.connect()
        await play(outputs, 45_000, 61_000)
        assert variants(rig) == ["../cam_1080/v0.m3u8", "../cam_480/v0.m3u8"]
        common = best.by_date().keys() & low.by_date().keys()
        assert [best.by_date()[d] for d in sorted(common)[2:]] == [
            low.by_date()[d] for d in sorted(common)[2:]
        ]
        best.publisher.close("gone")
        low.publisher.close("gone")
        await look([low])
        rig.clock.advance(31)
        await rig.tick()
        assert variants(rig) == ["../cam_1080/v0.m3u8", "../cam_480/v0.m3u8"]
        rig.clock.advance(61)
        await rig.tick()
        assert rig.hub.group("live/cam") is None


def variants(rig: LiveRig) -> list[str]:
    group = rig.hub.group("live/cam")
    assert group is not None and group.entry is not None
    return [each.uri for each in check_multivariant(group.entry.body.decode())]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("live/cam_720", ("live/cam", 1)),
        ("live/cam_hd_720", ("live/cam_hd", 1)),
        ("live/cam-x_720", ("live/cam", 2)),  # the longest
        ("live/cam", None),
        ("live/_720", None),  # nothing is left
        ("live/._720", None),  # no stream name is left
    ],
)
def test_names(name: str, place: tuple[str, int] | None) -> None:
    assert place_of(name, ["_1080", "_720", "-x_720"]) == place


@pytest.mark.parametrize("seed", range(6))
async def test_random_comings_and_goings(seed: int) -> None:
    """Every playlist stays valid all the time; when quiet has come, the variants match again."""
    chance = random.Random(seed)
    part_ms = chance.choice((0, 0, 300))
    async with live_rig(variant_suffixes=SUFFIXES, part_ms=part_ms) as rig:
        clock_ms = chance.randrange(0, 2**31 - 10_000)
        outputs = [Output(rig, name, clock_ms, chance.randrange(0, 700)) for name in NAMES]
        outputs[0].connect()
        now_ms = 0
        for _ in range(14):
            now_ms = await _something_happens(chance, outputs, now_ms)
            until_ms = now_ms + chance.randrange(15, 250) * 40
            if live := [each for each in outputs if each.is_publishing]:
                await play(live, now_ms, until_ms, look_ms=1000)
            now_ms = until_ms
            await look(outputs)
        for each in outputs:  # the encoder is started anew
            each.close()
        await look(outputs)
        for each in outputs:
            each.connect(clock_ms=-now_ms)
        await play(outputs, now_ms, now_ms + 30_000, look_ms=1000)
        playlists = [each.checker.playlist for each in outputs]
        assert len({(p.target_duration_s, p.part_target_s) for p in playlists if p}) == 1
        latest = [sorted(each.by_date().items())[-6:-2] for each in outputs]
        assert latest[0] == latest[1] == latest[2]


async def _something_happens(chance: random.Random, outputs: Sequence[Output], now_ms: int) -> int:
    one = chance.choice(outputs)
    match chance.randrange(6):
        case 0:
            for each in outputs:
                each.close()
            now_ms += chance.randrange(0, 300) * 40
            for each in chance.sample(outputs, 3):
                each.connect(clock_ms=-now_ms)
        case 1:
            one.close()
        case 2:
            step_ms = chance.choice((-1, 1)) * 3_600_000
            for each in outputs:
                each.clock_ms += step_ms
        case 3:
            one.clock_ms += 77_777
        case _:
            one.connect()
    return now_ms
