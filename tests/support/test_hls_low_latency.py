"""The checkers of low latency and of delta updates: every rule has a playlist that breaks it."""

from __future__ import annotations

import pytest

from tests.support.hls_checker import LivePlaylistChecker
from tests.support.hls_delta import assert_merges, check_delta, merge
from tests.support.hls_playlist import RuleViolation, parse_media_playlist

_HEAD = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,CAN-SKIP-DATERANGES=YES,\
HOLD-BACK=6.0,PART-HOLD-BACK=3.0
#EXT-X-PART-INF:PART-TARGET=1.0
"""
_PARTS = """#EXT-X-PART:DURATION=1.0,URI="{0}.0.ts",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI="{0}.1.ts"
"""


def _segment(msn: int, with_parts: bool) -> str:
    date = f"#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:{2 * (msn - 7):02d}.000Z\n"
    return f"{date}{_PARTS.format(msn) if with_parts else ''}#EXTINF:2.0,\n{msn}.ts\n"


_GOOD = (
    _HEAD
    + "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"
    + '#EXT-X-MAP:URI="i.mp4"\n'
    + "".join(_segment(msn, msn > 14) for msn in range(7, 16))
    + '#EXT-X-DATERANGE:ID="a",START-DATE="2026-11-21T12:00:16.000Z"\n'
    + "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:18.000Z\n"
    + '#EXT-X-PART:DURATION=1.0,URI="16.0.ts",INDEPENDENT=YES\n'
    + '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="16.1.ts"\n'
    + '#EXT-X-RENDITION-REPORT:URI="a0.m3u8",LAST-MSN=16,LAST-PART=0\n'
)
_DELTA = (
    _HEAD.replace("VERSION:6", "VERSION:9")
    + "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"
    + "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"
    + _GOOD[_GOOD.index("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:06") :]
)


def _broken_by(*texts: str) -> int:
    checker = LivePlaylistChecker()
    for text in texts[:-1]:
        checker.feed(text)
    with pytest.raises(RuleViolation) as caught:
        checker.feed(texts[-1])
    return caught.value.rule


def test_good_playlist() -> None:
    playlist = parse_media_playlist(_GOOD)
    assert playlist.open_segment is not None
    assert (playlist.open_segment.msn, playlist.next_msn, int(playlist.edge_s)) == (16, 16, 19)
    assert [len(segment.parts) for segment in playlist.segments] == [0] * 8 + [2]
    assert playlist.hints == {"PART": "16.1.ts"}
    LivePlaylistChecker().feed(_GOOD)


_LAST = '#EXT-X-PART:DURATION=1.0,URI="16.0.ts",INDEPENDENT=YES\n'
_SHORT = '#EXT-X-PART:DURATION=0.8,URI="16.9.ts"\n'
_RANGE = '#EXT-X-DATERANGE:ID="a",START-DATE="2026-11-21T12:00:16.000Z"'


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        (21, "#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:18.000Z\n", ""),
        (24, _RANGE, _RANGE.replace('ID="a",', "")),
        (24, _RANGE, _RANGE + ',END-DATE="2026-11-21T12:00:15.000Z"'),
        (24, _RANGE, _RANGE + ",END-ON-NEXT=YES"),
        (24, _RANGE, _RANGE + ',DURATION=2.0,END-DATE="2026-11-21T12:00:19.000Z"'),
        (24, _RANGE, _RANGE + ",X-A=1\n" + _RANGE + ",X-A=2"),
        (29, "#EXT-X-RENDITION", "#EXT-X-ENDLIST\n#EXT-X-RENDITION"),
        (95, "#EXT-X-PART-INF:PART-TARGET=1.0\n", ""),
        (96, "PART-HOLD-BACK=3.0", "PART-HOLD-BACK=2.9"),
        (96, ",PART-HOLD-BACK=3.0", ""),
        (96, "CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.9"),
        (96, "CAN-SKIP-UNTIL=12.0,", ""),
        (96, "HOLD-BACK=6.0", "HOLD-BACK=5.9"),
        (97, 'DURATION=1.0,URI="16.0', 'DURATION=1.001,URI="16.0'),
        (97, _LAST, _SHORT + _LAST),
        (99, _LAST, _LAST + "#EXT-X-DISCONTINUITY\n"),
        (99, _LAST, _LAST + '#EXT-X-MAP:URI="j.mp4"\n'),
        (100, "#EXTINF:2.0,\n15.ts", "#EXTINF:1.9,\n15.ts"),
        (101, "#EXTINF:2.0,\n8.ts", _PARTS.format(8) + "#EXTINF:2.0,\n8.ts"),
        (104, '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="16.1.ts"\n', ""),
        (104, "#EXT-X-RENDITION", '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x"\n#EXT-X-RENDITION'),
        (108, ",LAST-MSN=16", ""),
        (108, "a0.m3u8", "https://other/a0.m3u8"),
    ],
)
def test_one_playlist_breaks_a_rule(rule: int, old: str, new: str) -> None:
    assert old in _GOOD
    assert _broken_by(_GOOD.replace(old, new, 1)) == rule


def test_changes_that_break_a_rule() -> None:
    more = _LAST + '#EXT-X-PART:DURATION=1.0,URI="16.1.ts"\n'
    longer = _GOOD.replace(_LAST, more).replace('PART,URI="16.1', 'PART,URI="16.2')
    LivePlaylistChecker().feed(longer)
    checker = LivePlaylistChecker()
    checker.feed(_GOOD)
    checker.feed(longer)
    assert checker.parts.hints_given_up == 0
    assert _broken_by(_GOOD, longer.replace("PART-TARGET=1.0", "PART-TARGET=0.99999")) in (95, 97)
    assert _broken_by(_GOOD, longer.replace("HOLD-BACK=6.0", "HOLD-BACK=6.5")) == 96
    assert _broken_by(_GOOD, longer.replace("16.0.ts", "16.x.ts")) == 31
    assert _broken_by(longer, _GOOD) == 31  # a part was taken back
    assert _broken_by(longer, longer.replace("LAST-MSN=16", "LAST-MSN=15")) == 109
    assert _broken_by(longer, longer.replace(_RANGE + "\n", "")) == 25
    assert _broken_by(_GOOD, longer.replace("12:00:18", "12:00:19")) in (20, 31)
    vanished = longer[: longer.index("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T12:00:18")]
    vanished += '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="16.0.ts"\n'
    assert _broken_by(_GOOD, vanished) == 33
    other = longer.replace('PART:DURATION=1.0,URI="16.1.ts"', 'PART:DURATION=1.0,URI="16.1b.ts"')
    checker = LivePlaylistChecker()
    checker.feed(_GOOD)
    checker.feed(other)
    assert checker.parts.hints_given_up == 1


def test_merge() -> None:
    full, delta = parse_media_playlist(_GOOD), parse_media_playlist(_DELTA)
    check_delta(full, delta)
    assert_merges(full, delta, full)
    assert merge(full, full) == full
    older = parse_media_playlist(_GOOD.replace("SEQUENCE:7", "SEQUENCE:8", 1))
    with pytest.raises(RuleViolation, match="rule 123"):
        merge(older, delta)


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        (5, "VERSION:9", "VERSION:8"),
        (121, "SKIPPED-SEGMENTS=3", 'RECENTLY-REMOVED-DATERANGES=""'),
        (121, "MEDIA-SEQUENCE:7", "MEDIA-SEQUENCE:8"),
        (122, _RANGE + "\n", ""),
        (122, "SKIPPED-SEGMENTS=3\n" + _segment(10, False), "SKIPPED-SEGMENTS=4\n"),
        (121, "SKIPPED-SEGMENTS=3", "SKIPPED-SEGMENTS=2"),
        (121, "#EXT-X-RENDITION-REPORT", "#EXT-X-NEW-REPORT"),
    ],
)
def test_delta_update_breaks_a_rule(rule: int, old: str, new: str) -> None:
    assert old in _DELTA
    with pytest.raises(RuleViolation) as caught:
        check_delta(parse_media_playlist(_GOOD), parse_media_playlist(_DELTA.replace(old, new, 1)))
    assert caught.value.rule == rule
