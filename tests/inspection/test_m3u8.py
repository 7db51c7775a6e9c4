"""Playlists: what they list, and the rules of RFC 8216 they break."""

from __future__ import annotations

import contextlib
import json
import random
import re

import pytest
from hypothesis import given, strategies as st

from hlsorigin.errors import ContainerError
from hlsorigin.inspection.m3u8 import inspect_m3u8
from hlsorigin.inspection.report import Report, Section

LIVE = """#EXTM3U
#EXT-X-VERSION:3
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:81
#EXT-X-DISCONTINUITY-SEQUENCE:4
#EXT-X-PROGRAM-DATE-TIME:2026-11-21T10:00:00.000Z
#EXTINF:2.0,
v0-a-81.ts
#EXTINF:2.4,
v0-a-82.ts
#EXT-X-DISCONTINUITY
#EXTINF:1.96,
v0-a-83.ts
"""
MULTIVARIANT = """#EXTM3U
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",LANGUAGE="en",URI="en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,AVERAGE-BANDWIDTH=700000,RESOLUTION=1280x720,FRAME-RATE=30.000,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a"
v0.m3u8
"""


def report_of(text: str | bytes) -> Report:
    data = text.encode() if isinstance(text, str) else text
    report = Report("x", "m3u8", len(data))
    inspect_m3u8(data, report)
    return report


def facts(section: Section) -> dict[object, object]:
    return {row[0]: row[1] for row in section.rows}


def test_live_playlist() -> None:
    report = report_of(LIVE)
    playlist, segments = report.sections
    assert facts(playlist) == {
        "type": "media, live",
        "version": 3,
        "target duration": 2,
        "media sequence": 81,
        "discontinuity sequence": 4,
        "segments": 3,
        "discontinuities": 1,
        "duration s": pytest.approx(6.36),
    }
    assert [row[:3] for row in segments.rows] == [
        [81, "v0-a-81.ts", 2.0],
        [82, "v0-a-82.ts", 2.4],
        [83, "v0-a-83.ts", 1.96],
    ]
    assert segments.rows[0][3] == "2026-11-21T10:00:00.000+00:00"
    assert [row[4] for row in segments.rows] == [False, False, True]
    assert report.problems == []


def test_multivariant_playlist() -> None:
    report = report_of(MULTIVARIANT)
    playlist, variants, renditions = report.sections
    assert facts(playlist) == {"type": "multivariant", "independent segments": True}
    assert variants.rows == [["v0.m3u8", 800000, 700000, "1280x720", 30.0, "avc1.64001f,mp4a.40.2"]]
    assert renditions.rows == [["AUDIO", "a", "en", "en", "en.m3u8"]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            LIVE.replace("2.4,", "2.5,"),
            # "The EXTINF duration of each Media Segment, when rounded to the nearest integer,
            # MUST be less than or equal to the target duration" (4.3.3.1)
            "v0-a-82.ts: EXTINF 2.5 is over the target duration 2 (RFC 8216 4.3.3.1)",
        ),
        (
            LIVE.replace("#EXT-X-TARGETDURATION:2\n", ""),
            "no EXT-X-TARGETDURATION (RFC 8216 4.3.3.1 requires it)",
        ),
        (
            LIVE.replace("#EXT-X-VERSION:3\n", ""),
            "EXTINF with decimals needs version 3, not 1 (RFC 8216 7)",
        ),
        (
            LIVE[: LIVE.index("#EXTINF:2.4")],
            "live with 2 s listed, less than three target durations: players stall "
            "(RFC 8216 6.2.2)",
        ),
        (
            b"\xef\xbb\xbf" + LIVE.encode(),
            "starts with a byte order mark (RFC 8216 4.1 forbids it)",
        ),
    ],
)
def test_problems(text: str | bytes, problem: str) -> None:
    assert report_of(text).problems == [problem]


def test_ended_playlist() -> None:
    report = report_of(LIVE[: LIVE.index("#EXTINF:2.4")] + "#EXT-X-ENDLIST\n")
    assert facts(report.sections[0])["type"] == "media, ended"
    assert report.problems == []


def test_broken() -> None:
    with pytest.raises(ContainerError, match="not UTF-8 .* at offset 8"):
        report_of(b"#EXTM3U\n\xff")
    with pytest.raises(ContainerError, match="can't be read as a playlist: .*bandwidth"):
        report_of(MULTIVARIANT.replace("BANDWIDTH=800000,AVERAGE-BANDWIDTH=700000,", ""))
    with pytest.raises(ContainerError, match="can't be read as a playlist"):
        report_of("#EXTM3U\n#EXT-X-TARGETDURATION:two\n")


def test_numbers_that_are_none() -> None:
    text = re.sub("#EXT-X-PROGRAM.*\n", "", LIVE)
    report = report_of(text.replace("2.4,", "nan,").replace("1.96,", "inf,"))
    json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))


def test_mutations_raise_only_container_errors() -> None:
    rng = random.Random(0)
    for source in (LIVE.encode(), MULTIVARIANT.encode()):
        for _ in range(400):
            data = bytearray(source)
            for _ in range(rng.randint(1, 5)):
                at = rng.randrange(len(data))
                match rng.randrange(3):
                    case 0:
                        data[at] = rng.randrange(128)
                    case 1:
                        del data[at : at + rng.randint(1, 9)]
                    case _:
                        data[at:at] = data[at : at + 30]
            try:
                report_of(bytes(data)).to_json()
            except ContainerError:
                continue


@given(st.text(alphabet='#EXTINFM3U:-,.0189\n"=', max_size=120))
def test_any_text(text: str) -> None:
    with contextlib.suppress(ContainerError):
        report_of("#EXTM3U\n" + text).to_json()
