"""hls.layout: which tracks of a publish go into which rendition."""

from __future__ import annotations

import pytest

from hlsorigin.hls.layout import Layout, TrackLayout
from hlsorigin.media.track import MediaKind, Track
from tests.support.media import audio_track, video_track


def video_n(track_id: int) -> Track:
    return Track(track_id, MediaKind.VIDEO, video_track().config)


def audio_n(track_id: int) -> Track:
    return Track(track_id, MediaKind.AUDIO, audio_track().config)


@pytest.mark.parametrize(
    ("tracks", "layout"),
    [
        ([video_n(1), audio_n(2)], TrackLayout.MUXED),
        ([video_n(1), video_n(3), audio_n(2)], TrackLayout.SEPARATE),
        ([video_n(1), audio_n(2), audio_n(4)], TrackLayout.SEPARATE),
        ([audio_n(2), audio_n(4)], TrackLayout.MUXED),
        ([video_n(1)], TrackLayout.MUXED),
    ],
)
def test_auto(tracks: list[Track], layout: TrackLayout) -> None:
    assert TrackLayout.choose("auto", tracks) is layout
    assert TrackLayout.choose("muxed", tracks) is TrackLayout.MUXED
    assert TrackLayout.choose("separate", tracks) is TrackLayout.SEPARATE


def plans(layout: Layout, *tracks: Track) -> list[tuple[str, bool, bool]]:
    planned = [layout.plan(track) for track in tracks]
    return [(each.name, each.is_alone, each.follows) for each in planned]


def test_muxed_puts_the_first_audio_beside_every_video() -> None:
    layout = Layout(TrackLayout.MUXED)
    tracks = [video_n(1), video_n(5), audio_n(2), audio_n(4)]
    assert plans(layout, *tracks) == [
        ("v0", False, False), ("v1", False, False), ("v0", False, False), ("a1", True, True),
    ]  # fmt: skip
    assert [layout.is_shared(track) for track in tracks] == [False, False, True, False]
    assert plans(layout, video_n(5)) == [("v1", False, False)]  # again, with another config


def test_separate_gives_each_track_a_rendition() -> None:
    layout = Layout(TrackLayout.SEPARATE)
    tracks = [video_n(1), video_n(3), audio_n(2), audio_n(4)]
    assert plans(layout, *tracks) == [
        ("v0", True, False), ("v1", True, False), ("a0", True, True), ("a1", True, True),
    ]  # fmt: skip
    assert not any(layout.is_shared(track) for track in tracks)
