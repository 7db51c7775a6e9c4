"""hls.playlist: the text of playlists, read back by an independent reader."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import m3u8
import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.hls.multivariant import AlternativeRendition, MultivariantPlaylist, Variant
from hlsorigin.hls.playlist import (
    MediaPlaylist,
    MediaPlaylistPart,
    MediaPlaylistSegment,
    OpenSegmentEntry,
    RenditionReport,
    ServerControl,
    Skip,
    render_date,
    render_seconds,
)
from tests.support.hls_checker import RuleViolation
from tests.support.hls_delta import check_delta, merge
from tests.support.hls_multivariant import read_multivariant
from tests.support.hls_playlist import parse_media_playlist

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


# ---- low latency -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Tag:
    """A date range."""

    range_id: str
    start_date_90k: int

    def render(self) -> str:
        return (
            f'#EXT-X-DATERANGE:ID="{self.range_id}",START-DATE="{render_date(self.start_date_90k)}"'
        )


def make_parts(msn: int, durations: list[int]) -> list[MediaPlaylistPart]:
    return [
        MediaPlaylistPart(f"v0-e-{msn}.{index}.m4s", duration, index == 0)
        for index, duration in enumerate(durations)
    ]


def make_low_latency() -> MediaPlaylist:
    """Nine segments of two seconds, parts of the last two and of the open one."""
    segments = [
        MediaPlaylistSegment(
            f"v0-e-{81 + n}.m4s",
            180_000,
            T0_90K + n * 180_000,
            n in (2, 7),
            "v0-e-i81.mp4" if n < 7 else "v0-e-i88.mp4",
            make_parts(81 + n, [45_000] * 4) if n > 6 else (),
        )
        for n in range(9)
    ]
    return MediaPlaylist(
        target_duration_s=2,
        media_sequence=81,
        discontinuity_sequence=3,
        segments=segments,
        independent_segments=True,
        ended=False,
        part_target_90k=45_000,
        server_control=ServerControl.for_live(2, 45_000),
        open_segment=OpenSegmentEntry(
            T0_90K + 9 * 180_000, False, "v0-e-i88.mp4", make_parts(90, [45_000, 45_000])
        ),
        preload_hint="v0-e-90.2.m4s",
        rendition_reports=[RenditionReport("a0.m3u8", 90, 1)],
    )


def test_low_latency_text() -> None:
    """In the form of the example of 8216bis 9.11."""
    text = make_low_latency().render()
    assert text.startswith(
        "#EXTM3U\n"
        "#EXT-X-VERSION:6\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.000000,"
        "CAN-SKIP-DATERANGES=YES,HOLD-BACK=6.000000,PART-HOLD-BACK=1.500000\n"
        "#EXT-X-PART-INF:PART-TARGET=0.500000\n"
        "#EXT-X-MEDIA-SEQUENCE:81\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:3\n"
        '#EXT-X-MAP:URI="v0-e-i81.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n"
        "#EXTINF:2.000000,\n"
        "v0-e-81.m4s\n"
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.000Z\n"
    )
    assert text.endswith(
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:18.000Z\n"
        '#EXT-X-PART:DURATION=0.500000,URI="v0-e-90.0.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PART:DURATION=0.500000,URI="v0-e-90.1.m4s"\n'
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="v0-e-90.2.m4s"\n'
        '#EXT-X-RENDITION-REPORT:URI="a0.m3u8",LAST-MSN=90,LAST-PART=1\n'
    )


def test_low_latency_is_read_by_another_reader() -> None:
    read = m3u8.loads(make_low_latency().render())
    assert read.part_inf.part_target == 0.5
    assert read.server_control.part_hold_back == 1.5
    assert read.server_control.can_skip_until == 12.0
    assert [len(segment.parts) for segment in read.segments] == [0] * 7 + [4, 4, 2]
    assert read.segments[8].init_section.uri == "v0-e-i88.mp4"
    assert read.preload_hint.uri == "v0-e-90.2.m4s"
    assert read.rendition_reports[0].last_part == 1


@pytest.mark.parametrize(
    ("change", "version"),
    [
        ({"segments": make_playlist().segments, "open_segment": None}, 3),
        ({}, 6),
        ({"segments": make_playlist().segments}, 6),
    ],
)
def test_rule_5_and_6_version_is_what_the_tags_need(
    change: dict[str, object], version: int
) -> None:
    playlist = replace(make_low_latency(), **change)  # type: ignore[arg-type]
    assert f"#EXT-X-VERSION:{version}\n" in playlist.render()
    assert parse_media_playlist(playlist.render()).version == version


def test_rule_18_every_segment_has_its_map() -> None:
    read = parse_media_playlist(make_low_latency().render())
    maps = [segment.init_map for segment in read.segments]
    assert maps == ['URI="v0-e-i81.mp4"'] * 7 + ['URI="v0-e-i88.mp4"'] * 2
    assert make_low_latency().render().count("#EXT-X-MAP") == 2


def test_rule_22_gap_is_the_last_tag_before_the_parts() -> None:
    """hls.js takes the tags in front of an EXT-X-MAP for those of the map."""
    playlist = make_low_latency()
    gap = replace(playlist.segments[7], gap=True)
    text = replace(playlist, segments=[*playlist.segments[:7], gap]).render()
    assert (
        '#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="v0-e-i88.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:14.000Z\n#EXT-X-GAP\n#EXT-X-PART:"
    ) in text
    assert parse_media_playlist(text).segments[7].gap


def test_rule_24_date_ranges_stand_where_they_begin() -> None:
    starts = {"old": -5, "first": 0, "third": 5, "also": 5, "last": 17, "future": 60}
    tags = [Tag(name, T0_90K + at * 90_000) for name, at in starts.items()]
    normal = replace(make_low_latency(), part_target_90k=None, open_segment=None)
    normal = replace(normal, segments=[replace(each, parts=()) for each in normal.segments])
    before: dict[str, str] = {}
    names: list[str] = []
    for line in replace(normal, date_ranges=tags).render().split("\n"):
        if line.startswith("#EXT-X-DATERANGE"):
            names.append(line.split('"')[1])
        elif names and (not line.startswith("#") or line.startswith("#EXT-X-PRELOAD")):
            before |= dict.fromkeys(names, line)
            names = []
    assert before["old"] == before["first"] == "v0-e-81.m4s"
    assert before["third"] == before["also"] == "v0-e-83.m4s"
    assert before["last"] == "v0-e-89.m4s"
    assert before["future"].startswith("#EXT-X-PRELOAD-HINT")


def test_date_ranges_of_the_live_edge_wait_for_hls_js() -> None:
    """With parts, none that begins in the last complete segment or later."""
    last = T0_90K + 8 * 180_000
    tags = [Tag("far", last - 90), Tag("near", last - 44), Tag("open", last + 200_000)]
    playlist = replace(make_low_latency(), date_ranges=tags)
    assert list(parse_media_playlist(playlist.render()).date_ranges) == ["far"]
    ended = replace(playlist, ended=True, open_segment=None)
    assert list(parse_media_playlist(ended.render()).date_ranges) == ["far", "near", "open"]
    # Announced an hour ago, listed now: a delta update has it.
    announced = replace(playlist, recent_date_ranges=[])
    assert list(parse_media_playlist(announced.render(Skip.V2)).date_ranges) == ["far"]


def test_rule_29_hints_and_reports_are_gone_after_the_end() -> None:
    text = replace(make_low_latency(), ended=True, open_segment=None).render()
    assert text.endswith("v0-e-89.m4s\n#EXT-X-ENDLIST\n")
    assert "PRELOAD-HINT" not in text and "RENDITION-REPORT" not in text


def test_rule_95_part_target_is_there_with_parts() -> None:
    text = make_low_latency().render()
    assert parse_media_playlist(text).part_target_s == Decimal("0.5")
    with pytest.raises(RuleViolation, match="rule 95"):
        parse_media_playlist(replace(make_low_latency(), part_target_90k=None).render())


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 10), st.integers(45_000, 900_000))
def test_rule_96_distances_hold_as_printed(target_duration_s: int, part_target_90k: int) -> None:
    playlist = replace(
        make_low_latency(),
        target_duration_s=target_duration_s,
        part_target_90k=part_target_90k,
        server_control=ServerControl.for_live(target_duration_s, part_target_90k),
        segments=make_playlist().segments,
        open_segment=None,
    )
    read = parse_media_playlist(playlist.render())
    assert read.server_control is not None and read.part_target_s is not None
    assert Decimal(read.server_control["PART-HOLD-BACK"]) >= 3 * read.part_target_s
    assert Decimal(read.server_control["HOLD-BACK"]) == 3 * target_duration_s
    assert Decimal(read.server_control["CAN-SKIP-UNTIL"]) == 6 * target_duration_s
    assert read.server_control["CAN-BLOCK-RELOAD"] == "YES"


def test_rule_96_without_parts_there_is_no_part_hold_back() -> None:
    assert ServerControl.for_live(6).render() == (
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=36.000000,"
        "CAN-SKIP-DATERANGES=YES,HOLD-BACK=18.000000"
    )
    control = ServerControl(can_skip_dateranges=True, can_block_reload=True)
    assert control.render() == "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES"


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(8_501, 10_001), min_size=1, max_size=16))
def test_rule_97_and_100_parts_as_printed_fit_target_and_segment(durations: list[int]) -> None:
    """No part longer than PART-TARGET, and their sum is EXTINF, to the last digit."""
    parts = make_parts(82, durations)
    total = sum(durations)
    segment = MediaPlaylistSegment("v0-e-82.ts", total, T0_90K, False, None, parts)
    playlist = replace(
        make_low_latency(),
        segments=[segment],
        open_segment=OpenSegmentEntry(T0_90K + total, False, None, parts),
        part_target_90k=10_001,
        server_control=ServerControl.for_live(2, 10_001),
    )
    read = parse_media_playlist(playlist.render())  # checks both rules
    assert read.open_segment is not None
    assert read.segments[0].parts == read.open_segment.parts  # nothing changes when it closes


def test_rule_98_independent_parts_say_so() -> None:
    [*_, closed] = parse_media_playlist(make_low_latency().render()).segments
    assert [part.independent for part in closed.parts] == [True, False, False, False]
    part = MediaPlaylistPart("p.ts", 45_000, False, gap=True)
    entry = OpenSegmentEntry(T0_90K + 9 * 180_000, False, "v0-e-i88.mp4", [part])
    text = replace(make_low_latency(), open_segment=entry).render()
    assert '#EXT-X-PART:DURATION=0.500000,URI="p.ts",GAP=YES\n' in text


def test_rule_99_tags_of_the_open_segment_stand_before_its_parts() -> None:
    playlist = make_low_latency()
    entry = OpenSegmentEntry(T0_90K, True, "v0-e-i90.mp4", make_parts(90, [45_000]))
    text = replace(playlist, open_segment=entry).render()
    assert (
        'v0-e-89.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="v0-e-i90.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z\n#EXT-X-PART:"
    ) in text
    opened = parse_media_playlist(text).open_segment
    assert opened is not None
    assert (opened.msn, opened.dsn, opened.init_map) == (90, 6, 'URI="v0-e-i90.mp4"')
    # Without parts there is nothing of it: a tag without a segment means nothing.
    text = replace(playlist, open_segment=replace(entry, parts=())).render()
    assert "v0-e-89.m4s\n#EXT-X-PRELOAD-HINT" in text


def test_rule_104_one_hint_of_each_type() -> None:
    text = replace(make_low_latency(), preload_map_hint="v0-e-i91.mp4").render()
    hints = parse_media_playlist(text).hints
    assert hints == {"MAP": "v0-e-i91.mp4", "PART": "v0-e-90.2.m4s"}
    assert text.index("TYPE=MAP") < text.index("TYPE=PART")


def test_rule_108_reports_of_renditions_with_and_without_parts() -> None:
    reports = [RenditionReport("v1.m3u8", 90, 0), RenditionReport("a0.m3u8", 89, None)]
    read = parse_media_playlist(replace(make_low_latency(), rendition_reports=reports).render())
    assert [(each.uri, each.last_msn, each.last_part) for each in read.reports] == [
        ("v1.m3u8", 90, 0),
        ("a0.m3u8", 89, None),
    ]


# ---- delta updates: more of them in test_delta -----------------------------------------------


def test_rule_121_delta_update_text() -> None:
    """Nine segments and a second of parts: three end more than twelve seconds from the end."""
    text = make_low_latency().render(Skip.YES)
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:9\n")
    assert (
        "#EXT-X-MEDIA-SEQUENCE:81\n"
        "#EXT-X-DISCONTINUITY-SEQUENCE:3\n"
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n"
        '#EXT-X-MAP:URI="v0-e-i81.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:06.000Z\n"
        "#EXTINF:2.000000,\n"
        "v0-e-84.m4s\n"
    ) in text
    full = parse_media_playlist(make_low_latency().render())
    check_delta(full, parse_media_playlist(text))
    assert replace(merge(full, parse_media_playlist(text)), version=6) == full


def test_rule_122_a_segment_at_the_boundary_stays() -> None:
    playlist = replace(make_low_latency(), open_segment=None, part_target_90k=None)
    segments = [replace(each, parts=()) for each in playlist.segments]
    text = replace(playlist, segments=segments).render(Skip.YES)
    assert "SKIPPED-SEGMENTS=2\n" in text  # seven more end within 14 s, six within 12 s
    longer = [*segments[:-1], replace(segments[-1], duration_90k=180_001)]
    assert "SKIPPED-SEGMENTS=3\n" in replace(playlist, segments=longer).render(Skip.YES)
    # Nothing to skip: the whole playlist.
    short = replace(playlist, segments=segments[:6])
    assert short.render(Skip.YES) == short.render(Skip.V2) == short.render()


def test_rule_124_no_delta_update_where_none_is_offered() -> None:
    for playlist in (
        replace(make_low_latency(), server_control=None),
        replace(make_low_latency(), server_control=ServerControl(can_block_reload=True)),
        replace(make_low_latency(), ended=True),
    ):
        assert playlist.render(Skip.YES) == playlist.render(Skip.V2) == playlist.render()


def test_rule_125_older_date_ranges_are_skipped_and_removed_ones_named() -> None:
    old, new = Tag("old", T0_90K), Tag("new", T0_90K + 90_000)
    playlist = replace(
        make_low_latency(),
        date_ranges=[old, new],
        recent_date_ranges=[new],
        removed_date_ranges=["a,b", "c"],
    )
    text = playlist.render(Skip.V2)
    assert "#EXT-X-VERSION:10\n" in text
    assert 'SKIPPED-SEGMENTS=3,RECENTLY-REMOVED-DATERANGES="a,b\tc"\n#EXT-X-DATERANGE' in text
    read = parse_media_playlist(text)
    assert read.removed_date_ranges == ("a,b", "c")
    assert list(read.date_ranges) == ["new"]
    # "The quoted-string MAY be empty."
    text = replace(playlist, removed_date_ranges=()).render(Skip.V2)
    assert 'RECENTLY-REMOVED-DATERANGES=""\n' in text
    # YES skips segments only.
    assert list(parse_media_playlist(playlist.render(Skip.YES)).date_ranges) == ["old", "new"]


# ---- multivariant ----------------------------------------------------------------------------

VARIANT = Variant(
    uri="v0.m3u8",
    bandwidth_bps=3_100_000,
    average_bandwidth_bps=2_900_000,
    codecs=["hvc1.2.4.L123.B0", "mp4a.40.2"],
    resolution=(1280, 720),
    frame_rate=Fraction(50),
    audio_group="aud",
    video_range="HLG",
    supplemental_codecs=["dvh1.08.07/db4h"],
)
ENGLISH = AlternativeRendition("aud", "English", "en", True, True, "2", "a0.m3u8")
GERMAN = AlternativeRendition("aud", "Deutsch", "de", channels="6", uri="a1.m3u8")


def test_rule_28_independent_segments_are_declared_for_all_playlists() -> None:
    text = MultivariantPlaylist([VARIANT], [ENGLISH], independent_segments=True).render()
    assert text.startswith("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MEDIA")


def test_rule_127_groups_of_variants_exist() -> None:
    text = MultivariantPlaylist([VARIANT], [ENGLISH, GERMAN]).render()
    variants, renditions = read_multivariant(text)
    assert variants[0].audio_group == "aud"
    assert [each.uri for each in renditions] == ["a0.m3u8", "a1.m3u8"]
    with pytest.raises(RuleViolation, match="rule 127"):
        read_multivariant(MultivariantPlaylist([VARIANT]).render())


def test_rule_128_media_tags() -> None:
    assert ENGLISH.render() == (
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="English",LANGUAGE="en",'
        'DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a0.m3u8"'
    )
    # DEFAULT=YES leaves no choice of AUTOSELECT; without a URI the audio is in the variants.
    muxed = AlternativeRendition("aud", "Main", default=True, autoselect=False)
    assert muxed.render() == (
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aud",NAME="Main",DEFAULT=YES,AUTOSELECT=YES'
    )
    read = m3u8.loads(MultivariantPlaylist([VARIANT], [ENGLISH, GERMAN]).render())
    assert [(each.name, each.default, each.channels) for each in read.media] == [
        ("English", "YES", "2"),
        ("Deutsch", "NO", "6"),
    ]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=30), st.text(max_size=10))
def test_rule_128_names_of_encoders_break_nothing(name: str, language: str) -> None:
    rendition = AlternativeRendition("aud", name, language, uri="a0.m3u8")
    _, (read,) = read_multivariant(MultivariantPlaylist([VARIANT], [rendition]).render())
    assert read.uri == "a0.m3u8"


def test_rule_128_name_with_quotes_lines_and_variables() -> None:
    rendition = AlternativeRendition("aud", 'a "b"\r\n#EXTM3U\u2028{$x}')
    assert "NAME=\"a 'b'  #EXTM3U { $x}\"," in rendition.render()


def test_rule_130_and_131_codecs_and_video_range() -> None:
    assert VARIANT.render() == (
        "#EXT-X-STREAM-INF:BANDWIDTH=3100000,AVERAGE-BANDWIDTH=2900000,"
        'CODECS="hvc1.2.4.L123.B0,mp4a.40.2",SUPPLEMENTAL-CODECS="dvh1.08.07/db4h",'
        'RESOLUTION=1280x720,FRAME-RATE=50.000,VIDEO-RANGE=HLG,AUDIO="aud"\nv0.m3u8'
    )


def test_rule_132_server_control_is_the_same_in_all_playlists() -> None:
    """It depends on nothing but the target durations of the stream."""
    video = make_low_latency()
    audio = replace(video, segments=make_playlist().segments, open_segment=None)
    read = [parse_media_playlist(each.render()) for each in (video, audio)]
    assert read[0].server_control == read[1].server_control


def test_uris_of_an_entry_in_another_folder() -> None:
    text = MultivariantPlaylist([VARIANT], [ENGLISH]).render("cam1/")
    assert text.endswith("\ncam1/v0.m3u8\n")
    assert 'URI="cam1/a0.m3u8"' in text
