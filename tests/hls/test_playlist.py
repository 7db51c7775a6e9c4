"""hls.playlist: the text of playlists, read back by an independent reader."""

from __future__ import annotations

from fractions import Fraction

import m3u8

from hlsorigin.hls.playlist import (
    MediaPlaylist,
    MediaPlaylistSegment,
    MultivariantPlaylist,
    Variant,
    render_date,
    render_seconds,
)

T0_90K = 1767225600 * 90000  # 2026-01-01T00:00:00Z


def make_playlist(*, ended: bool = False, independent: bool = True) -> MediaPlaylist:
    return MediaPlaylist(
        target_duration_s=2,
        media_sequence=81,
        discontinuity_sequence=3,
        segments=[
            MediaPlaylistSegment("v0-e-81.ts", 180_000, T0_90K, False),
            MediaPlaylistSegment("v0-e-82.ts", 180_180, T0_90K + 180_000, True),
        ],
        independent_segments=independent,
        ended=ended,
    )


def test_media_playlist_text() -> None:
    assert make_playlist().render() == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:3\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-MEDIA-SEQUENCE:81\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:3\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n"
        "#EXTINF:2.000000,\n"
        "v0-e-81.ts\n"
        "#EXT-X-DISCONTINUITY\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.000Z\n"
        "#EXTINF:2.002000,\n"
        "v0-e-82.ts\n"
    )


def test_endlist_is_the_last_line_and_independence_is_only_claimed_when_true() -> None:
    text = make_playlist(ended=True, independent=False).render()
    assert text.endswith("v0-e-82.ts\n#EXT-X-ENDLIST\n")
    assert "INDEPENDENT" not in text


def test_independent_reader_agrees() -> None:
    read = m3u8.loads(make_playlist(ended=True).render())
    assert (read.target_duration, read.media_sequence, read.discontinuity_sequence) == (2, 81, 3)
    assert [segment.duration for segment in read.segments] == [2.0, 2.002]
    assert [segment.discontinuity for segment in read.segments] == [False, True]
    assert read.is_endlist
    assert read.is_independent_segments


def test_multivariant_text() -> None:
    variant = Variant(
        uri="v0.m3u8",
        bandwidth_bps=3_100_000,
        average_bandwidth_bps=2_900_000,
        codecs=["avc1.64001f", "mp4a.40.2"],
        resolution=(1280, 720),
        frame_rate=Fraction(30000, 1001),
    )
    text = MultivariantPlaylist([variant]).render()
    assert text == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:3\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=3100000,AVERAGE-BANDWIDTH=2900000,"
        'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970\n'
        "v0.m3u8\n"
    )
    info = m3u8.loads(text).playlists[0].stream_info
    assert (info.bandwidth, info.resolution, info.frame_rate) == (3100000, (1280, 720), 29.97)


def test_variant_says_only_what_is_known() -> None:
    text = Variant("v0.m3u8", 128_000, 127_000, [], None, None).render()
    assert text == "#EXT-X-STREAM-INF:BANDWIDTH=128000,AVERAGE-BANDWIDTH=127000\nv0.m3u8"


def test_seconds_and_dates_are_rounded_to_nearest() -> None:
    assert render_seconds(1) == "0.000011"
    assert render_seconds(180_179) == "2.001989"
    assert render_date(T0_90K + 89_955) == "2026-01-01T00:00:01.000Z"
    assert render_date(T0_90K + 89_954) == "2026-01-01T00:00:00.999Z"
