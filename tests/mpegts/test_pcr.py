from __future__ import annotations

from hypothesis import given, strategies as st

from hlsorigin.mpegts.pcr import PcrClock

#: 2.7.2: "the maximum interval between two PCR shall be 100 ms".
MAX_GAP = 9_000


def started(dts: int = 900_000) -> PcrClock:
    clock = PcrClock()
    assert clock.jumps_at(dts)
    clock.stamp(dts)
    return clock


def test_says_whether_it_has_started() -> None:
    assert [PcrClock().has_started, started().has_started] == [False, True]


def test_runs_half_a_second_before_dts() -> None:
    clock = PcrClock()
    assert clock.stamp(900_000) == 855_000
    assert clock.stamp(903_600) == 858_600


def test_starts_below_zero() -> None:
    assert PcrClock().stamp(0) == -45_000


def test_fills_evenly() -> None:
    """At one frame per second eleven PCR are due between two frames."""
    points = started().fill(855_000 + 90_000)
    assert points == [855_000 + 90_000 * n // 12 for n in range(1, 12)]


@given(st.integers(1, 2_000_000))
def test_filled_gaps_are_legal(gap: int) -> None:
    points = [855_000, *started().fill(855_000 + gap), 855_000 + gap]
    assert all(0 < b - a < MAX_GAP for a, b in zip(points, points[1:], strict=False))


def test_no_filling_before_the_start() -> None:
    assert PcrClock().fill(1 << 40) == []


def test_creeps_where_the_filling_ran_ahead() -> None:
    """A guessed duration was too long: PCR still increases and stays before DTS."""
    clock = started()
    clock.extend(40_000)
    assert clock.fill(clock.end_90k)[-1] == 855_000 + 32_000
    for dts in range(903_000, 1_000_000, 3000):
        assert not clock.jumps_at(dts)
        last = clock.stamp(dts)
        assert last <= dts
    assert last == dts - 45_000


def test_jumps() -> None:
    clock = started()
    assert not clock.jumps_at(900_000 + 900_000)
    assert clock.jumps_at(900_000 + 900_001)
    assert not clock.jumps_at(855_001)
    assert clock.jumps_at(855_000)


def test_a_long_frame_is_no_jump() -> None:
    """One frame in 20 s: what follows its end directly goes on in the same time base."""
    clock = started()
    clock.extend(1_800_000)
    assert not clock.jumps_at(900_000 + 1_800_000)
    assert clock.jumps_at(900_000 + 1_800_000 + 900_001)


def test_filling_is_bounded() -> None:
    """A sample that claims to last a day must not become a day of PCR packets."""
    clock = started()
    clock.extend(24 * 3600 * 90_000)
    assert len(clock.fill(clock.end_90k)) < 700


def test_a_jump_back_forgets_the_old_end() -> None:
    clock = started(1 << 40)
    clock.extend(900_000)
    assert clock.jumps_at(0)
    assert clock.stamp(0) == -45_000
    assert clock.fill(clock.end_90k) == []
