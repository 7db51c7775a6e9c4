"""Chromium plays: hls.js from another origin, its own HLS, and the product's player page."""

from __future__ import annotations

from tests.e2e import encoders
from tests.e2e.browser import Browser
from tests.e2e.origin import Origin, Stream
from tests.e2e.process import let_pass, wait_until
from tests.support.hls_checker import LivePlaylistChecker


def test_hls_js_plays(clip: Stream, browser: Browser) -> None:
    """Through five segment changes, without an error of demuxer, buffer or decoder."""
    browser.open_test_page(clip.entry_url)
    start = browser.wait_for(lambda report: report.frames > 0, 30, "first frame")
    report = browser.wait_for(lambda report: len(report.fragments) >= 6, 40, "five changes")
    assert report.errors == []
    assert report.mediaError == ""
    assert report.fragments == list(range(report.fragments[0], report.fragments[0] + 6))
    assert report.currentTime - start.currentTime > 4 * 2
    assert report.frames > 4 * 60 and report.droppedFrames < report.frames / 10
    assert report.audioBytes > 0
    assert (report.width, report.height) == (1280, 720)


def test_hls_js_goes_on_when_the_encoder_comes_back(origin: Origin, browser: Browser) -> None:
    """The encoder loses power for three seconds: a discontinuity, not the end of the show."""
    stream = origin.stream("live", "reconnect")
    encoder = origin.start("reconnect-1", encoders.ffmpeg_live(stream.rtmp_url))
    stream.wait_for_segments(3)
    playlist_url, checker = stream.media_playlist_url(), LivePlaylistChecker()
    browser.open_test_page(stream.entry_url)

    def wait_for_fragments(count: int) -> None:
        def played() -> bool:
            checker.feed(origin.get(playlist_url).text)
            return len(browser.report.fragments) >= count

        wait_until(played, 40, lambda: f"{count} fragments; last report: {browser.report}")

    wait_for_fragments(3)
    encoder.kill()
    let_pass(3)
    encoder = origin.start("reconnect-2", encoders.ffmpeg_live(stream.rtmp_url))
    browser.wait_for(lambda report: len(report.discontinuities) == 2, 40, "discontinuity played")
    at_discontinuity = browser.report
    wait_for_fragments(len(at_discontinuity.fragments) + 4)
    report = browser.report
    assert report.fatal_errors == [] and report.decode_errors == []
    assert report.mediaError == ""
    assert report.currentTime - at_discontinuity.currentTime > 3
    assert report.frames > at_discontinuity.frames + 60
    # One discontinuity, and numbers that run on: players see a stream, not two.
    assert report.fragments == sorted(set(report.fragments))
    assert len({segment.dsn for segment in checker.segments.values()}) == 2
    encoder.stop()


def test_chromium_plays_without_hls_js(clip: Stream, browser: Browser) -> None:
    """Chromium 142 and newer on desktops has HLS of its own."""
    browser.open_test_page(clip.entry_url, engine="native")
    first = browser.wait_for(lambda report: report.engine == "native", 30, "report")
    if not first.canPlayType:
        # Older Chromium: nothing to test here, hls.js is what it plays with.
        return
    report = browser.wait_for(lambda report: report.frames > 150, 30, "five seconds")
    assert report.mediaError == "" and report.audioBytes > 0


def test_the_player_page_plays(clip: Stream, browser: Browser) -> None:
    """``/{app}/{stream}/`` as a viewer opens it, behind a reverse proxy that adds the probe."""
    browser.open_player_page(f"{clip.path}/")
    report = browser.wait_for(lambda report: report.frames > 150, 40, "five seconds")
    assert report.mediaError == "" and report.audioBytes > 0
    assert (report.width, report.height) == (1280, 720)
    assert clip.path.strip("/") in report.text
