"""The checker itself: good playlists pass, and every rule has a playlist that breaks it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.support.hls_checker import (
    LivePlaylistChecker,
    RuleViolation,
    check_multivariant,
    parse_media_playlist,
)
from tests.support.hls_playlist import RULES, parse_attributes

_START = datetime(2026, 11, 21, 12, 0, 0, 123000, tzinfo=UTC)

_GOOD = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:00.123Z
#EXTINF:2.000000,
v0-x-7.ts
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:02.123Z
#EXTINF:2.480000,
v0-x-8.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:30.000Z
#EXTINF:1.5,
v0-x-9.ts
"""

_MULTIVARIANT = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-STREAM-INF:BANDWIDTH=1000000,AVERAGE-BANDWIDTH=800000,CODECS="avc1.64001F,mp4a.40.2",\
RESOLUTION=1280x720,FRAME-RATE=30.000
v0.m3u8
"""


def _broken_rule(text: str) -> int:
    with pytest.raises(RuleViolation) as caught:
        LivePlaylistChecker().feed(text)
    return caught.value.rule


def test_good_playlist() -> None:
    playlist = parse_media_playlist(_GOOD)
    assert playlist.target_duration_s == 2
    assert [each.msn for each in playlist.segments] == [7, 8, 9]
    # 8216bis 6.2.1: a segment's discontinuity sequence number counts the tags before its URI.
    assert [each.dsn for each in playlist.segments] == [1, 1, 2]
    assert playlist.duration_s == Decimal("5.98")
    assert playlist.next_msn == 10
    assert playlist.segments[0].program_date_time == _START
    assert playlist.independent_segments and not playlist.ended
    assert LivePlaylistChecker().feed(_GOOD) == list(playlist.segments)


def test_crlf_comments_and_unknown_tags_are_fine() -> None:
    """8216bis 4.1: lines end in LF or CRLF; comments and unknown tags are ignored."""
    text = _GOOD.replace("#EXTINF:1.5", "# a comment\n\n#EXT-X-NEWER:A=1\n#EXTINF:1.5")
    checker = LivePlaylistChecker()
    assert len(checker.feed(text.replace("\n", "\r\n"))) == 3


def test_byte_ranges_keys_and_maps_are_read() -> None:
    """8216bis 4.4.4.2: without an offset the range follows the previous one of the same URI."""
    text = (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n"
        '#EXT-X-MAP:URI="i.mp4",BYTERANGE="100@0"\n'
        '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x00FF\n'
        "#EXTINF:2.0,\n#EXT-X-BYTERANGE:10@100\na.mp4\n"
        "#EXT-X-KEY:METHOD=NONE\n"
        "#EXTINF:2.0,title\n#EXT-X-GAP\n#EXT-X-BYTERANGE:20\na.mp4\n#EXT-X-ENDLIST\n"
    )
    first, second = parse_media_playlist(text).segments
    assert (first.byte_range, second.byte_range) == ((10, 100), (20, 110))
    assert first.key is not None and second.key is None
    assert second.init_map is not None and second.gap


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        (2, "#EXTM3U", "\ufeff#EXTM3U"),
        (2, "v0-x-7", "v0-\x01-7"),
        (2, "v0-x-7", "v0-e\u0301-7"),
        (3, "v0-x-7.ts\n", "v0-x-7.ts \n"),
        (3, "v0-x-7.ts", "v0 x-7.ts"),
        (3, "v0-x-9.ts\n", "v0-x-9.ts"),
        (3, "v0-x-7.ts\n", "v0-x-7.ts\r"),
        (4, "#EXTM3U\n", "\n#EXTM3U\n"),
        (4, "#EXTM3U\n", "#EXTM3U8\n"),
        (5, "VERSION:3", "VERSION:2"),
        (5, "VERSION:3", "VERSION:x"),
        (5, "#EXTINF:1.5", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\n#EXTINF:1.5'),
        (6, "VERSION:3", "VERSION:7"),
        (7, "#EXTINF:1.5", "#EXT-X-START:TIME-OFFSET=1, PRECISE=YES\n#EXTINF:1.5"),
        (7, "#EXTINF:1.5", "#EXT-X-START:TIME-OFFSET=1,TIME-OFFSET=1\n#EXTINF:1.5"),
        (7, "#EXTINF:1.5", "#EXT-X-START:\n#EXTINF:1.5"),
        (8, "#EXTINF:1.5", "#EXT-X-START:TIME-OFFSET=1s\n#EXTINF:1.5"),
        (8, "#EXTINF:1.5", "#EXT-X-MAP:URI=i.mp4\n#EXTINF:1.5"),
        (9, "#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-VERSION:3"),
        (9, "#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=1"),
        (10, "#EXT-X-MEDIA-SEQUENCE:7\n", "#EXT-X-MEDIA-SEQUENCE:-7\n"),
        (10, "#EXT-X-MEDIA-SEQUENCE:7\n", "#EXT-X-DISCONTINUITY\n#EXT-X-MEDIA-SEQUENCE:7\n"),
        (11, "#EXT-X-TARGETDURATION:2\n", ""),
        (11, "DURATION:2", "DURATION:0"),
        (11, "DURATION:2", "DURATION:2.5"),
        (12, "#EXTINF:2.480000", "#EXTINF:2.500000"),
        (13, "#EXTINF:1.5,", "#EXTINF:1.5"),
        (13, "#EXTINF:1.5,", "#EXTINF:-1.5,"),
        (13, "#EXTINF:1.5,\n", ""),
        (13, "v0-x-9.ts\n", "v0-x-9.ts\n#EXTINF:1.5,\n"),
        (14, "#EXTINF:2.48", "#EXT-X-BYTERANGE:10\n#EXTINF:2.48"),
        (15, "#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUITY\n#EXT-X-DISCONTINUITY\n"),
        (15, "v0-x-9.ts\n", "v0-x-9.ts\n#EXT-X-DISCONTINUITY\n"),
        (16, "#EXTINF:1.5", "#EXT-X-KEY:METHOD=AES-128\n#EXTINF:1.5"),
        (16, "#EXTINF:1.5", '#EXT-X-KEY:METHOD=NONE,URI="k"\n#EXTINF:1.5'),
        (16, "#EXTINF:1.5", '#EXT-X-KEY:URI="k"\n#EXTINF:1.5'),
        (18, "#EXTINF:1.5", '#EXT-X-MAP:BYTERANGE="1@0"\n#EXTINF:1.5'),
        (18, "#EXTINF:1.5", '#EXT-X-MAP:URI="i",BYTERANGE="1"\n#EXTINF:1.5'),
        (19, "30.000Z", "30.000"),
        (19, "30.000Z", "30Z"),
        (19, "30.000Z", "70.000Z"),
        (20, "02.123Z", "02.126Z"),
        (20, "12:00:30", "12:00:01"),
        (20, "#EXTINF:1.5", "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:31.000Z\n#EXTINF:1.5"),
        (21, "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:30.000Z\n", ""),
        (27, "#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:EVENT"),
        (27, "#EXT-X-VERSION:3", "#EXT-X-VERSION:3\n#EXT-X-PLAYLIST-TYPE:LIVE"),
        (34, "#EXT-X-DISCONTINUITY-SEQUENCE:1\n", ""),
        (47, "v0-x-9.ts", "v0-x-8.ts"),
    ],
)
def test_one_playlist_breaks_a_rule(rule: int, old: str, new: str) -> None:
    assert old in _GOOD
    assert _broken_rule(_GOOD.replace(old, new, 1)) == rule


@dataclass(frozen=True)
class _Segment:
    """A segment of a playlist that a test writes."""

    msn: int
    uri: str
    duration: str = "2.000000"
    offset_s: float = 0.0
    discontinuity: bool = False


def _live(first: int, count: int) -> list[_Segment]:
    return [_Segment(n, f"s{n}.ts", offset_s=2.0 * n) for n in range(first, first + count)]


def _render(segments: list[_Segment], dsn: int = 0, target_s: int = 2, tail: str = "") -> str:
    lines = [
        "#EXTM3U\n#EXT-X-VERSION:3",
        f"#EXT-X-TARGETDURATION:{target_s}\n#EXT-X-MEDIA-SEQUENCE:{segments[0].msn}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{dsn}",
    ]
    for each in segments:
        date = _START + timedelta(seconds=each.offset_s)
        lines += ["#EXT-X-DISCONTINUITY"] * each.discontinuity
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date.isoformat(timespec='milliseconds')}")
        lines += [f"#EXTINF:{each.duration},", each.uri]
    return "\n".join(lines) + "\n" + tail


def _broken_by(*texts: str) -> int:
    """Feed all but the last, which has to break a rule."""
    checker = LivePlaylistChecker()
    for text in texts[:-1]:
        checker.feed(text)
    with pytest.raises(RuleViolation) as caught:
        checker.feed(texts[-1])
    assert f"rule {caught.value.rule}: " in str(caught.value)
    return caught.value.rule


def test_sliding_playlist() -> None:
    """8216bis 6.2.2: append, remove from the front, MEDIA-SEQUENCE counts the removed."""
    checker = LivePlaylistChecker()
    for first in range(30):
        appended = checker.feed(_render(_live(first, 5)), now_s=first * 2.0)
        assert [each.msn for each in appended] == (list(range(5)) if first == 0 else [first + 4])
        assert checker.feed(_render(_live(first, 5)), now_s=first * 2.0 + 1) == []
    assert checker.feed(_render(_live(29, 5), tail="#EXT-X-ENDLIST\n")) == []
    assert len(checker.segments) == 34


def test_discontinuity_slides_out() -> None:
    """8216bis 6.2.2: DISCONTINUITY-SEQUENCE grows when the tag leaves; numbers of segments stay."""
    segments = _live(0, 12)
    segments[4:] = [replace(each, offset_s=each.offset_s + 7.5) for each in segments[4:]]
    segments[4] = replace(segments[4], discontinuity=True)
    checker = LivePlaylistChecker()
    for first in range(7):
        checker.feed(_render(segments[first : first + 5], dsn=1 if first > 4 else 0))
    assert {msn: each.dsn for msn, each in checker.segments.items()} == {
        msn: int(msn >= 4) for msn in range(11)
    }
    assert _broken_by(_render(segments[3:8]), _render(segments[5:10])) == 34
    assert _broken_by(_render(segments[3:8]), _render(segments[4:9], dsn=1)) == 34
    untagged = [replace(each, discontinuity=False) for each in segments]
    assert _broken_by(_render(segments[3:8]), _render(untagged[4:9], dsn=1)) == 31


def test_changes_that_break_a_rule() -> None:
    old = _live(5, 5)
    assert _broken_by(_render(old), _render(_live(6, 5), target_s=3)) == 11
    assert _broken_by(_render(old), _render(_live(4, 6))) == 32
    assert _broken_by(_render(old), _render(_live(6, 3))) == 33
    assert _broken_by(_render(old, dsn=2), _render(_live(11, 5), dsn=1)) == 34
    assert _broken_by(_render(old), _render(_live(8, 2) + _live(10, 0))) == 36
    assert _broken_by(_render(old, tail="#EXT-X-ENDLIST\n"), _render(_live(5, 6))) == 29
    assert _broken_by(_render(old, tail="#EXT-X-ENDLIST\n"), _render(old)) == 29


@pytest.mark.parametrize(
    "change",
    [
        {"uri": "other.ts"},
        {"duration": "2.000500"},
    ],
)
def test_a_listed_segment_never_changes(change: dict[str, str]) -> None:
    """8216bis 6.2.1: the playlist may only be appended to and removed from."""
    old = _live(5, 5)
    changed = [old[0], replace(old[1], **change), *old[2:]]  # type: ignore[arg-type]
    assert _broken_by(_render(old), _render(changed)) == 31


def test_a_program_date_never_changes() -> None:
    old = _live(5, 5)
    moved = [replace(each, offset_s=each.offset_s + 0.5) for each in old]
    assert _broken_by(_render(old), _render(moved)) == 31


def test_a_uri_is_never_used_again() -> None:
    """Not within the window either: a cache may still hold the old bytes."""
    again = [*_live(26, 4), replace(_live(30, 1)[0], uri="s5.ts")]
    assert _broken_by(_render(_live(5, 5)), _render(_live(15, 5)), _render(again)) == 47


def test_dates_do_not_drift() -> None:
    """Each difference is within the rounding of a millisecond, their sum over time is not."""
    segments = [
        replace(each, duration="2.000000", offset_s=each.msn * 2.0006) for each in _live(0, 12)
    ]
    checker = LivePlaylistChecker()
    with pytest.raises(RuleViolation, match="rule 20"):
        for first in range(7):
            checker.feed(_render(segments[first : first + 5]))


def test_late_segment() -> None:
    """8216bis 6.2.1: a new segment within 1.5 target durations of the previous one."""
    checker = LivePlaylistChecker()
    checker.feed(_render(_live(0, 5)), now_s=100.0)
    checker.feed(_render(_live(0, 5)), now_s=103.0)
    with pytest.raises(RuleViolation, match="rule 35"):
        checker.feed(_render(_live(0, 5)), now_s=103.1)


def test_nobody_waits_for_a_segment_while_the_clock_is_out() -> None:
    checker = LivePlaylistChecker()
    checker.feed(_render(_live(0, 5)), now_s=100.0)
    checker.feed(_render(_live(0, 5)))
    checker.feed(_render(_live(0, 5)), now_s=200.0)
    checker.feed(_render(_live(1, 5)), now_s=201.0)
    with pytest.raises(RuleViolation, match="rule 35"):
        checker.feed(_render(_live(1, 5)), now_s=204.1)


def test_multivariant() -> None:
    (variant,) = check_multivariant(_MULTIVARIANT)
    assert variant.uri == "v0.m3u8"
    assert (variant.bandwidth_bps, variant.average_bandwidth_bps) == (1_000_000, 800_000)
    assert variant.codecs == ("avc1.64001F", "mp4a.40.2")
    assert variant.resolution == (1280, 720)
    assert variant.frame_rate == 30


def test_multivariant_with_groups() -> None:
    text = (
        '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="one",URI="a.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2",AUDIO="a"\na.m3u8\n'
    )
    (variant,) = check_multivariant(text)
    assert variant.resolution is None and variant.frame_rate is None
    rendition = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="one"\n'
    with pytest.raises(RuleViolation, match="rule 128"):
        check_multivariant(text + rendition)
    with pytest.raises(RuleViolation, match="rule 128"):
        check_multivariant(text.replace('NAME="one",', ""))
    with pytest.raises(RuleViolation, match="rule 127"):
        check_multivariant(text.replace('AUDIO="a"', 'AUDIO="b"'))


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        (4, "#EXTM3U\n", ""),
        (6, "VERSION:3", "VERSION:8"),
        (7, ",RESOLUTION", ", RESOLUTION"),
        (8, "1280x720", "1280*720"),
        (9, "v0.m3u8", "v0.m3u8\n#EXT-X-TARGETDURATION:2"),
        (127, "BANDWIDTH=1000000,", ""),
        (127, "v0.m3u8\n", ""),
        (127, "v0.m3u8", "v0.m3u8\nv1.m3u8"),
        (129, "=800000", "=1000001"),
        (130, "avc1.64001F", "avc1.4001F"),
        (130, "mp4a.40.2", "mp4a"),
        (130, 'CODECS="avc1.64001F,mp4a.40.2",', ""),
        (131, "RESOLUTION=1280x720,", ""),
        (131, "30.000", "30"),
    ],
)
def test_multivariant_breaks_a_rule(rule: int, old: str, new: str) -> None:
    assert old in _MULTIVARIANT
    with pytest.raises(RuleViolation) as caught:
        check_multivariant(_MULTIVARIANT.replace(old, new, 1))
    assert caught.value.rule == rule


def test_attributes() -> None:
    """8216bis 4.2: a comma in a quoted string ends nothing."""
    assert parse_attributes('A=1,CODECS="a,b",X-C=0x1F') == {
        "A": "1",
        "CODECS": "a,b",
        "X-C": "0x1F",
    }
    for broken in ("A", "a=1", "A=1,", "A=1 ", ""):
        with pytest.raises(RuleViolation, match="rule 7"):
            parse_attributes(broken)


def test_mutations_raise_nothing_else() -> None:
    """Whatever a server sends, the checker says which rule it breaks, or that it is fine."""
    rng = random.Random(0)
    for _ in range(3000):
        text = rng.choice((_GOOD, _MULTIVARIANT))
        for _ in range(rng.randint(1, 4)):
            start = rng.randrange(len(text))
            end = min(len(text), start + rng.randint(0, 8))
            piece = rng.choice(("", text[start:end] * 2, rng.choice('\0\r\n#:,="x9.-\u00e9')))
            text = text[:start] + piece + text[end:] or "#"
        for check in (LivePlaylistChecker().feed, check_multivariant):
            try:
                check(text)
            except RuleViolation as violation:
                assert violation.rule in RULES
