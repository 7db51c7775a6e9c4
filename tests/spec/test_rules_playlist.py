"""Rules 1 to 29: the text of playlists, as served."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import pytest

from tests.spec.stage import Recording
from tests.support.hls_playlist import MEDIA_TAGS, MediaPlaylist
from tests.support.hls_syntax import MULTIVARIANT_TAGS

PLAYLIST_TYPE = "application/vnd.apple.mpegurl"


@pytest.fixture(scope="session")
def recordings(
    ts_stream: Recording, fmp4_stream: Recording, ll_stream: Recording
) -> Sequence[Recording]:
    return ts_stream, fmp4_stream, ll_stream


@pytest.fixture(scope="session")
def media_texts(recordings: Sequence[Recording]) -> Sequence[str]:
    texts = {text for each in recordings for name in each.names for text in each.texts(name)}
    deltas = {
        text
        for each in recordings
        for snapshot in each.snapshots
        for text in snapshot.deltas.values()
    }
    assert len(texts) > 100 and deltas
    return sorted(texts | deltas)


@pytest.fixture(scope="session")
def entries(recordings: Sequence[Recording]) -> Sequence[str]:
    return [text for each in recordings for text in each.entries]


@pytest.fixture(scope="session")
def playlists(recordings: Sequence[Recording]) -> Sequence[MediaPlaylist]:
    return [
        playlist for each in recordings for name in each.names for playlist in each.playlists(name)
    ]


def tags(text: str, name: str) -> list[str]:
    """Give the values of a tag."""
    return re.findall(rf"^#{name}(?::(.*))?$", text, re.M)


def attribute_lists(texts: Sequence[str]) -> list[str]:
    """Give the attribute lists of all tags that have one."""
    names = "MAP|PART|PART-INF|SERVER-CONTROL|PRELOAD-HINT|RENDITION-REPORT|SKIP|DATERANGE"
    return [
        value
        for text in texts
        for name in (*names.split("|"), "STREAM-INF", "MEDIA")
        for value in tags(text, f"EXT-X-{name}")
    ]


def test_rule_1_playlists_have_their_type(ts_stream: Recording) -> None:
    """Production rule of AAS 10.4: the type, always; and the path ends in .m3u8."""
    for name in ("before the end", "ended", "kept"):
        answer = ts_stream.answers[name]
        assert answer.headers["content-type"] == PLAYLIST_TYPE
        assert answer.url.path.endswith(".m3u8")


def test_rule_2_characters(ts_stream: Recording, media_texts: Sequence[str]) -> None:
    octets = ts_stream.answers["before the end"].content
    assert not octets.startswith(b"\xef\xbb\xbf")
    for text in (octets.decode("utf-8", "strict"), *media_texts):
        assert unicodedata.is_normalized("NFC", text)
        # A tab stands between the IDs of removed date ranges alone (8216bis 4.4.5.2).
        plain = re.sub(r'RECENTLY-REMOVED-DATERANGES="[^"]*"', "", text)
        assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]", plain)


def test_rule_3_lines_end_and_have_no_stray_whitespace(
    media_texts: Sequence[str], entries: Sequence[str]
) -> None:
    for text in (*media_texts, *entries):
        assert text.endswith("\n") and "\r" not in text
        for line in text.split("\n"):
            assert line == line.strip()
            assert line.startswith("#") or " " not in line


def test_rule_4_first_line(media_texts: Sequence[str], entries: Sequence[str]) -> None:
    for text in (*media_texts, *entries):
        assert text.split("\n", 1)[0] == "#EXTM3U"
        assert text.count("#EXTM3U") == 1


def test_rule_7_attribute_lists(media_texts: Sequence[str], entries: Sequence[str]) -> None:
    pair = r'[A-Z0-9-]+=(?:"[^"\n]*"|[^",\s]+)'
    lists = attribute_lists([*media_texts, *entries])
    assert len(lists) > 1000
    for value in lists:
        assert re.fullmatch(rf"{pair}(,{pair})*", value), value
        names = re.findall(r'([A-Z0-9-]+)=(?:"[^"]*"|[^",]*)', value)
        assert len(names) == len(set(names)), value


def test_rule_8_attribute_types(media_texts: Sequence[str], entries: Sequence[str]) -> None:
    types = {
        r"URI|CODECS|NAME|GROUP-ID|LANGUAGE|AUDIO|ID|START-DATE|CHANNELS": r'"[^"\r\n]+"',
        r"BANDWIDTH|AVERAGE-BANDWIDTH|SKIPPED-SEGMENTS|LAST-MSN|LAST-PART": r"[0-9]{1,20}",
        r"DURATION|PLANNED-DURATION|PART-TARGET|FRAME-RATE": r"[0-9]+\.[0-9]+",
        r"HOLD-BACK|PART-HOLD-BACK|CAN-SKIP-UNTIL": r"[0-9]+\.[0-9]+",
        r"RESOLUTION": r"[0-9]+x[0-9]+",
        r"INDEPENDENT|CAN-BLOCK-RELOAD|CAN-SKIP-DATERANGES|DEFAULT|AUTOSELECT": r"YES|NO",
        r"SCTE35-OUT|SCTE35-IN|SCTE35-CMD": r"0x[0-9A-F]+",
        r"TYPE": r"PART|MAP|AUDIO",
    }
    seen = set()
    for value in attribute_lists([*media_texts, *entries]):
        for name, text in re.findall(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)', value):
            for names, pattern in types.items():
                if re.fullmatch(names, name):
                    assert re.fullmatch(pattern, text), f"{name}={text}"
                    seen.add(names)
    assert seen == set(types)


def test_rule_9_media_and_multivariant_tags(
    media_texts: Sequence[str], entries: Sequence[str]
) -> None:
    once = ("TARGETDURATION", "MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE", "SERVER-CONTROL")
    for text in media_texts:
        names = re.findall(r"^#(EXT[A-Z0-9-]*)", text, re.M)
        assert not MULTIVARIANT_TAGS & set(names)
        head = text.partition("#EXTINF")[0]
        for name in once:
            assert names.count(f"EXT-X-{name}") == 1
            assert f"#EXT-X-{name}:" in head
        assert names.count("EXT-X-PART-INF") <= 1 and names.count("EXT-X-ENDLIST") <= 1
    for text in entries:
        assert not MEDIA_TAGS & set(re.findall(r"^#(EXT[A-Z0-9-]*)", text, re.M))


def test_rule_10_sequence_numbers_come_first(media_texts: Sequence[str]) -> None:
    for text in media_texts:
        for tag in ("#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-DISCONTINUITY-SEQUENCE:"):
            at = text.index(tag)
            for later in ("#EXTINF:", "#EXT-X-DISCONTINUITY\n", "#EXT-X-PART:", "#EXT-X-MAP:"):
                assert later not in text[:at]


def test_rule_11_target_duration_never_changes(recordings: Sequence[Recording]) -> None:
    """Also over a change of the encoder's settings and over a reconnect."""
    for each in recordings:
        values = {
            value
            for name in each.names
            for text in each.texts(name)
            for value in tags(text, "EXT-X-TARGETDURATION")
        }
        (value,) = values
        assert re.fullmatch(r"[1-9][0-9]*", value)


def test_rule_12_durations_rounded_are_at_most_the_target(
    playlists: Sequence[MediaPlaylist],
) -> None:
    count = 0
    for playlist in playlists:
        for segment in playlist.segments:
            rounded = segment.duration_s.to_integral_value(ROUND_HALF_UP)
            assert rounded <= playlist.target_duration_s
            assert segment.duration_s < playlist.target_duration_s + Decimal("0.5")  # AAS 7.7
            count += 1
    assert count > 500


def test_rule_13_extinf_before_each_uri(media_texts: Sequence[str]) -> None:
    for text in media_texts:
        lines = text.splitlines()
        uris = [index for index, line in enumerate(lines) if line and not line.startswith("#")]
        assert uris
        for index in uris:
            assert re.fullmatch(r"#EXTINF:[0-9]+\.[0-9]+,", lines[index - 1])
        assert len(uris) == text.count("#EXTINF:")
        assert int(tags(text, "EXT-X-VERSION")[0]) >= 3


def test_rule_14_no_byte_ranges(media_texts: Sequence[str]) -> None:
    """Every segment and part has a URI of its own: no range without an offset can occur."""
    assert not [text for text in media_texts if "BYTERANGE" in text]
    assert [text for text in media_texts if "#EXT-X-PART:" in text]


def test_rule_15_discontinuity_where_the_stream_changes(
    ts_stream: Recording, fmp4_stream: Recording, ll_stream: Recording
) -> None:
    """Another picture size, another publish; nowhere else."""
    for recording, expected in ((ts_stream, [12, 16]), (fmp4_stream, [12]), (ll_stream, [16])):
        for name in recording.names:
            playlists = recording.playlists(name)
            first = playlists[0].media_sequence
            broken = {s.msn for p in playlists for s in p.segments if s.discontinuity}
            assert sorted(msn - first for msn in broken) == expected, name


def test_rule_19_program_dates_are_iso_8601(media_texts: Sequence[str]) -> None:
    dates = [date for text in media_texts for date in tags(text, "EXT-X-PROGRAM-DATE-TIME")]
    assert dates
    for date in set(dates):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", date)
        assert datetime.fromisoformat(date).utcoffset() == timedelta(0)


def test_rule_20_dates_follow_the_durations(playlists: Sequence[MediaPlaylist]) -> None:
    """Each date is the one before plus EXTINF within 50 ms; over a discontinuity it is later."""
    kinds = set()
    for playlist in playlists:
        for before, after in pairwise(playlist.segments):
            assert before.program_date_time is not None and after.program_date_time is not None
            end = before.program_date_time + timedelta(seconds=float(before.duration_s))
            off = (after.program_date_time - end).total_seconds()
            assert off > -0.05
            assert after.discontinuity or off < 0.05
            kinds.add(after.discontinuity)
    assert kinds == {True, False}


def test_rule_21_every_segment_has_a_date(playlists: Sequence[MediaPlaylist]) -> None:
    """More than the date on each discontinuity that is asked for."""
    for playlist in playlists:
        assert all(each.program_date_time is not None for each in playlist.segments)
        opened = playlist.open_segment
        assert opened is None or opened.program_date_time is not None


def test_rule_23_bit_rates_of_segments_are_not_promised(media_texts: Sequence[str]) -> None:
    """EXT-X-BITRATE is optional: where there is none, none is wrong."""
    assert not [text for text in media_texts if "EXT-X-BITRATE" in text]


def test_rule_25_date_ranges_stay_while_they_map_to_a_segment(ll_stream: Recording) -> None:
    """Those that came last are listed to the end; those that left are before the window."""
    playlists = [p for p in ll_stream.playlists() if p.date_ranges]
    gone: set[str] = set()
    for old, new in pairwise(playlists):
        removed = old.date_ranges.keys() - new.date_ranges.keys()
        gone |= removed
        assert not gone & new.date_ranges.keys()
        for range_id in removed:
            attributes = old.date_ranges[range_id]
            start = datetime.fromisoformat(attributes["START-DATE"])
            length = attributes.get("DURATION", attributes.get("PLANNED-DURATION", "0"))
            first = new.segments[0].program_date_time
            assert first is not None and start + timedelta(seconds=float(length)) <= first
    assert gone and playlists[-1].date_ranges


def test_rule_26_no_start_is_imposed(media_texts: Sequence[str], entries: Sequence[str]) -> None:
    """EXT-X-START is optional: without it, none lies inside the last three target durations."""
    assert not [text for text in (*media_texts, *entries) if "EXT-X-START:" in text]


def test_rule_27_sliding_playlist_has_no_type(recordings: Sequence[Recording]) -> None:
    for each in recordings:
        playlists = each.playlists()
        assert playlists[-1].media_sequence > playlists[0].media_sequence
        assert {playlist.playlist_type for playlist in playlists} == {None}
