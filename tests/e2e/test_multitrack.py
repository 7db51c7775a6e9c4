"""Multitrack publishes: a ladder of videos and two languages as one multivariant playlist."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final
from urllib.parse import urljoin

import pytest

from tests.e2e.browser import Browser, Report
from tests.e2e.codecs import (
    check_codecs,
    decoded_frames,
    describe_streams,
    find_in_cycle,
    reference_frames,
)
from tests.e2e.collect import fetch
from tests.e2e.enhanced import enhanced
from tests.e2e.origin import Origin, Stream
from tests.e2e.process import wait_until
from tests.support.elementary import ALIGNED_LADDER, UNALIGNED_LADDER, clip
from tests.support.hls_checker import LivePlaylistChecker
from tests.support.hls_multivariant import Rendition, Variant, read_multivariant
from tests.support.hls_playlist import parse_attributes
from tests.support.mp4_reader import Mp4Checker

_SETTINGS: Final = """
hls = { container = "auto", segment_duration = "1s" }
apps.fmp4.hls = { container = "fmp4", segment_duration = "1s" }
apps.ll.hls = { container = "fmp4", low_latency = true, segment_duration = "2s" }
"""
_LANGUAGES: Final = ("aac", "aac_chinese")
_ALIGNED: Final = " ".join((*ALIGNED_LADDER, *_LANGUAGES))
_UNALIGNED: Final = " ".join((*UNALIGNED_LADDER, *_LANGUAGES))
_SIZES: Final = [(640, 360), (320, 180), (160, 90)]
_FOLLOWED: Final = 6
#: Audio is cut at the frame next to the keyframe (1024 samples at 48 kHz), times are rounded.
_AUDIO_FRAME_S: Final = 0.0225


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Origin]:
    """A server, and both ladders published as long as the tests run."""
    server = Origin(tmp_path_factory.mktemp("multitrack"), _SETTINGS)
    published = {"fmp4__aligned": _ALIGNED, "fmp4__unaligned": _UNALIGNED}
    command = enhanced(server.rtmp_port, live__aligned=_ALIGNED, ll__aligned=_ALIGNED, **published)
    server.start("encoder", command)
    yield server
    server.close()


def _entry(server: Origin, stream: Stream) -> tuple[tuple[Variant, ...], tuple[Rendition, ...]]:
    """Give variants and renditions when all of them are there."""

    def whole() -> bool:
        response = server.get(stream.entry_url)
        return response.status_code == 200 and response.text.count("#EXT-X-") >= 3 + 2 + 1

    wait_until(whole, 20, f"three videos and two languages of {stream.path}")
    return read_multivariant(server.get(stream.entry_url).text)


class _Followed:
    """A media playlist with all its segments, as it grows."""

    def __init__(self, server: Origin, url: str) -> None:
        self._server = server
        self.url = url
        self.playlist = LivePlaylistChecker()
        self.media = Mp4Checker()

    def poll(self) -> None:
        """Check the playlist, and what it lists anew."""
        for segment in self.playlist.feed(self._server.get(self.url).text):
            assert segment.init_map is not None
            if self.media.init is None:
                uri = parse_attributes(segment.init_map)["URI"]
                self.media.feed(fetch(self._server, urljoin(self.url, uri)))
            data = fetch(self._server, urljoin(self.url, segment.uri))
            self.media.feed(data, discontinuity=segment.discontinuity, independent=True)


def _follow(server: Origin, stream: Stream) -> dict[str, _Followed]:
    """Follow every rendition, as long as it takes for six segments."""
    variants, renditions = _entry(server, stream)
    uris = [each.uri for each in variants] + [each.uri or "" for each in renditions]
    followed = {uri: _Followed(server, urljoin(stream.entry_url, uri)) for uri in uris}

    def grown() -> bool:
        for each in followed.values():
            each.poll()
        return all(len(each.playlist.segments) >= _FOLLOWED for each in followed.values())

    wait_until(grown, 30, f"{_FOLLOWED} segments of each rendition")
    return followed


def _check_one_presentation(followed: dict[str, _Followed], *, has_equal_cuts: bool) -> None:
    """8216bis 6.2.4: the same TARGETDURATION, discontinuities, and dates of the same media.

    A date less the media time is the same everywhere (spec.md rule 132).
    """
    first = followed["v0.m3u8"]
    offsets_s: list[float] = []
    for uri, each in followed.items():
        playlist = each.playlist.playlist
        assert playlist is not None and first.playlist.playlist is not None
        assert playlist.target_duration_s == first.playlist.playlist.target_duration_s
        assert {s.dsn for s in each.playlist.segments.values()} == {
            s.dsn for s in first.playlist.segments.values()
        }
        oldest = min(each.playlist.segments)
        (samples,) = each.media.samples.values()
        date = each.playlist.segments[oldest].program_date_time
        assert date is not None
        offsets_s.append(date.timestamp() - float(min(s.pts_s for s in samples[:8])))
        if not has_equal_cuts:
            continue
        both = each.playlist.segments.keys() & first.playlist.segments.keys()
        assert len(both) >= _FOLLOWED - 1
        for msn in both:
            dates = [f.playlist.segments[msn].program_date_time for f in (each, first)]
            assert dates[0] is not None and dates[1] is not None
            apart_s = abs((dates[0] - dates[1]).total_seconds())
            assert apart_s <= (_AUDIO_FRAME_S if uri.startswith("a") else 0), uri
    assert max(offsets_s) - min(offsets_s) <= 0.002


def test_an_aligned_ladder(server: Origin) -> None:
    """A variant for each video, a group with both languages; all cut at the same places."""
    stream = server.stream("fmp4", "aligned")
    followed = _follow(server, stream)
    _check_one_presentation(followed, has_equal_cuts=True)
    assert len(followed) == 5
    variants, renditions = _entry(server, stream)
    assert [each.resolution for each in variants] == _SIZES
    assert {each.audio_group for each in variants} == {renditions[0].group_id}
    assert {(each.kind, each.language, each.channels) for each in renditions} == {
        ("AUDIO", "en", "2"),
        ("AUDIO", "zh", "2"),
    }
    assert [each.default for each in renditions] == [True, False]
    rates = [each.bandwidth_bps for each in variants]
    assert rates == sorted(rates, reverse=True)
    uris = [each.uri for each in variants] + [each.uri or "" for each in renditions]
    for uri, name in zip(uris, _ALIGNED.split(), strict=True):
        media = followed[uri].media
        (samples,) = media.samples.values()
        find_in_cycle([s.data for s in samples], [s.data for s in clip(name).samples])
    described = server.get(f"{server.admin_url}/api/v1/streams{stream.path}").json()
    assert "keyframes_not_aligned" not in [event["code"] for event in described["events"]]
    assert len(described["tracks"]) == 5


def test_an_unaligned_ladder(server: Origin) -> None:
    """It is said, and every variant is valid for itself, at the same dates."""
    stream = server.stream("fmp4", "unaligned")
    _check_one_presentation(_follow(server, stream), has_equal_cuts=False)
    described = server.get(f"{server.admin_url}/api/v1/streams{stream.path}").json()
    assert "keyframes_not_aligned" in [event["code"] for event in described["events"]]


def test_every_rendition_plays_for_itself(server: Origin) -> None:
    """ffprobe and ffmpeg find in each what the entry says; the pictures are those of the clip."""
    stream = server.stream("fmp4", "aligned")
    variants, renditions = _entry(server, stream)
    for variant, name in zip(variants, ALIGNED_LADDER, strict=True):
        url = urljoin(stream.entry_url, variant.uri)
        (video,) = describe_streams(url)
        check_codecs(variant.codecs[:1], [video])
        assert (video["width"], video["height"]) == variant.resolution
        find_in_cycle(decoded_frames(url, 1, has_sound=False), reference_frames(name))
    for rendition in renditions:
        (audio,) = describe_streams(urljoin(stream.entry_url, rendition.uri or ""))
        check_codecs(variants[0].codecs[1:], [audio])


def test_ffmpeg_plays_the_whole_presentation(server: Origin) -> None:
    """From the entry: three videos, two languages; in MPEG-TS, as ``auto`` has it, and in fMP4."""
    for app in ("live", "fmp4"):
        stream = server.stream(app, "aligned")
        _entry(server, stream)
        found = describe_streams(stream.entry_url)
        assert [each["codec_type"] for each in found] == ["video"] * 3 + ["audio"] * 2
        assert [(each["width"], each["height"]) for each in found[:3]] == _SIZES
        languages = [each.get("tags", {}).get("language") for each in found[3:]]
        assert languages == ["en", "zh"]
        suffix = ".ts" if app == "live" else ".m4s"
        uri = urljoin(stream.entry_url, "v2.m3u8")
        assert suffix in server.get(uri).text


def test_hls_js_switches_level_and_language(server: Origin, browser: Browser) -> None:
    """Up, down, and to the other language, while it plays on; whole segments, and parts."""
    streams = [server.stream(app, "aligned") for app in ("fmp4", "ll")]
    for stream in streams:
        _entry(server, stream)
    # A browser opens six connections to a host, and a low-latency player needs four.
    sources = [streams[0].entry_url, streams[1].entry_url.replace("127.0.0.1", "localhost")]
    browser.open_videos([(sources[0], False), (sources[1], True)])
    browser.wait_for_all(lambda report: report.frames > 25, 30, "first second")
    # hls.js sorts levels by their bit rate.
    for level, size in ((2, (640, 360)), (0, (160, 90))):
        browser.command(nextLevel=level)
        browser.wait_for_all(partial(_has_size, size), 30, f"level {level}")
    browser.command(audioTrack=1)
    browser.wait_for_all(lambda report: report.audioTracks[-1:] == [1], 30, "other language")
    frames = max(report.frames for report in browser.reports)
    browser.wait_for_all(lambda report: report.frames > frames + 50, 30, "two seconds more")
    for report in browser.reports:
        assert report.fatal_errors == [] and report.decode_errors == []
        assert report.audioBytes > 0 and report.mediaError == ""


def _has_size(size: tuple[int, int], report: Report) -> bool:
    return (report.width, report.height) == size
