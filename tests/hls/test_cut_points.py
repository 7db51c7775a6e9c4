"""hls.cut_points: other videos are cut where the main one is."""

from __future__ import annotations

from hlsorigin.hls.cut_points import CutPoints
from hlsorigin.media.timebase import TIMESCALE

SECOND = TIMESCALE
LIMIT = 5 * SECOND // 2


def due(points: CutPoints, keyframe_s: float, start_s: float) -> bool | None:
    keyframe, start = round(keyframe_s * SECOND), round(start_s * SECOND)
    return points.is_due(keyframe, start, 2 * SECOND, LIMIT)


def points_at(*seconds: float) -> CutPoints:
    points = CutPoints()
    for each in seconds:
        points.add(round(each * SECOND))
    return points


def test_no_guidance_without_a_main_video_or_when_it_stands_still() -> None:
    assert due(CutPoints(), 2, 0) is None
    assert due(points_at(0, 2), 7, 5) is None


def test_due_where_the_main_video_was_cut_already() -> None:
    assert due(points_at(0, 2, 4), 4, 3) is True


def test_due_where_the_main_video_will_be_cut_when_its_keyframe_comes() -> None:
    assert due(points_at(0, 2), 4, 3) is True


def test_not_due_in_between() -> None:
    assert due(points_at(0, 2, 4), 5, 4) is False


def test_a_cut_of_ours_counts_as_shared_as_long_as_the_main_video_has_not_come_so_far() -> None:
    points = points_at(0, 2)
    assert points.has(2 * SECOND + 500)
    assert points.has(4 * SECOND)
    assert not points.has(SECOND)
