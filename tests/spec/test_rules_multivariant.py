"""Rules 127 to 135: the multivariant playlist, held against the streams it names."""

from __future__ import annotations

import re
from datetime import datetime
from fractions import Fraction

import pytest

from tests.spec.listing import listed_segments, read_mp4
from tests.spec.stage import Recording, read_playlist
from tests.support.elementary import clip
from tests.support.hls_checker import check_multivariant
from tests.support.hls_multivariant import Variant, read_multivariant


def variants_of(recording: Recording) -> dict[str, Variant]:
    """Give the variants as a player reads them last, by URI."""
    return {each.uri: each for each in check_multivariant(recording.entries[-1])}


def _bits(recording: Recording, name: str) -> list[tuple[int, Fraction]]:
    """Give size in bits and duration of each segment."""
    return [
        (8 * len(recording.data(each.uri)), Fraction(each.duration_s))
        for each in listed_segments(recording, name)
    ]


def _peak_bps(recording: Recording, name: str) -> Fraction:
    """Give the largest rate of a contiguous set of 0.5 to 1.5 target durations (4.1)."""
    segments = _bits(recording, name)
    target_s = recording.playlists(name)[0].target_duration_s
    peak = Fraction(0)
    for start in range(len(segments)):
        bits, length = 0, Fraction(0)
        for size, duration in segments[start:]:
            bits, length = bits + size, length + duration
            if length > Fraction(3, 2) * target_s:
                break
            if length >= Fraction(1, 2) * target_s:
                peak = max(peak, bits / length)
    return peak


def _average_bps(recording: Recording, name: str) -> Fraction:
    """Give the rate over all segments."""
    segments = _bits(recording, name)
    length = sum((duration for _, duration in segments), Fraction(0))
    return sum(bits for bits, _ in segments) / length


def test_rule_127_every_variant_has_a_playlist(ll_stream: Recording) -> None:
    variants, renditions = read_multivariant(ll_stream.entries[-1])
    assert {each.uri for each in variants} == {"v0.m3u8", "v1.m3u8"}
    assert {each.audio_group for each in variants} == {each.group_id for each in renditions}
    assert {each.uri for each in variants} <= set(ll_stream.names)


def test_rule_128_audio_to_choose_from(ll_stream: Recording) -> None:
    _, renditions = read_multivariant(ll_stream.entries[-1])
    assert [each.default for each in renditions] == [True, False]
    assert [each.language for each in renditions][1] == "zho"
    assert len({each.name for each in renditions}) == 2
    assert {each.uri for each in renditions} == {"a0.m3u8", "a1.m3u8"}


@pytest.mark.parametrize("name", ["ts_stream", "fmp4_stream", "ll_stream"])
def test_rule_129_bandwidth_is_what_is_measured(name: str, request: pytest.FixtureRequest) -> None:
    """Of a variant and the largest of its audio group: the peak is below 125 % (AAS 1.29)."""
    recording = request.getfixturevalue(name)
    audio = [each for each in recording.names if each.startswith("a")]
    louder = max((_peak_bps(recording, each) for each in audio), default=Fraction(0))
    for uri, variant in variants_of(recording).items():
        peak = _peak_bps(recording, uri) + louder
        assert peak <= variant.bandwidth_bps <= peak * Fraction(5, 4) + 2
        louder_average = max((_average_bps(recording, a) for a in audio), default=Fraction(0))
        average = _average_bps(recording, uri) + louder_average
        assert variant.average_bandwidth_bps is not None
        assert abs(average - variant.average_bandwidth_bps) <= average / 10


def test_rule_130_codecs_are_those_of_the_bitstream(
    ll_stream: Recording, hevc_stream: Recording
) -> None:
    """Profile, constraints and level as the SPS has them; the audio object type of the ASC."""
    for uri, name in (("v0.m3u8", "rung_360"), ("v1.m3u8", "rung_180")):
        avcc = clip(name).config
        codecs = variants_of(ll_stream)[uri].codecs
        assert codecs == (f"avc1.{avcc[1:4].hex()}", "mp4a.40.2")
    (hevc,) = variants_of(hevc_stream).values()
    hvcc = clip("hevc").config
    assert hevc.codecs[0].startswith(f"hvc1.{hvcc[1] & 31}.")
    assert hevc.codecs[0].split(".")[3] == f"{'HL'[not hvcc[1] >> 5 & 1]}{hvcc[12]}"


def test_rule_130_codecs_of_all_segments_listed(fmp4_stream: Recording) -> None:
    """Also of those before a change, as long as they can be played."""
    codecs = {each for entry in fmp4_stream.entries for each in re.findall(r"avc1\.\w+", entry)}
    expected = {f"avc1.{clip(name).config[1:4].hex()}" for name in ("h264", "rung_360")}
    assert codecs == expected
    assert expected <= set(variants_of(fmp4_stream)["v0.m3u8"].codecs)


def test_rule_131_resolution_and_frame_rate(ll_stream: Recording) -> None:
    found = variants_of(ll_stream)
    for uri, (width, height) in (("v0.m3u8", (640, 360)), ("v1.m3u8", (320, 180))):
        assert found[uri].resolution == (width, height)
        (track,) = read_mp4(ll_stream, uri)[0][0].init.tracks.values()
        assert (track.width, track.height) == (width, height)
        assert found[uri].frame_rate == 25 and found[uri].average_bandwidth_bps
        assert found[uri].video_range is None  # SDR all
    assert "FRAME-RATE=25.000" in ll_stream.entries[-1]
    assert ll_stream.entries[-1].count('CHANNELS="2"') == 2


def test_rule_132_renditions_are_one_presentation(ll_stream: Recording) -> None:
    """Same numbers, discontinuities and dates; boundaries and timestamps match."""
    for snapshot in ll_stream.snapshots:
        playlists = [read_playlist(text) for text in snapshot.texts.values()]
        heads = {(p.target_duration_s, p.part_target_s, str(p.server_control)) for p in playlists}
        assert len(heads) == 1
        by_msn: dict[int, list[tuple[int, datetime]]] = {}
        for segment in (segment for p in playlists for segment in p.segments):
            assert segment.program_date_time is not None
            seen = (segment.dsn, segment.program_date_time)
            by_msn.setdefault(segment.msn, []).append(seen)
        for seen_by_all in by_msn.values():
            assert len({dsn for dsn, _ in seen_by_all}) == 1
            dates = [date for _, date in seen_by_all]
            assert (max(dates) - min(dates)).total_seconds() <= 0.05
    starts: dict[int, list[Fraction]] = {}
    for name in ll_stream.names:
        for each in read_mp4(ll_stream, name)[0]:
            (track,) = each.init.tracks.values()
            first = min(sample.pts for sample in each.mp4.samples(track.track_id))
            starts.setdefault(each.entry.msn, []).append(Fraction(first, track.timescale))
    for times in starts.values():
        assert len(times) == 4 and max(times) - min(times) <= Fraction(1, 4)


def test_rule_134_audio_apart_from_video(ll_stream: Recording) -> None:
    """With several tracks each has a rendition; no variant is of audio alone (tvOS)."""
    for name in ll_stream.names:
        for each in read_mp4(ll_stream, name)[0]:
            (track,) = each.init.tracks.values()
            assert track.handler == ("vide" if name.startswith("v") else "soun")
    assert all(each.resolution for each in variants_of(ll_stream).values())


def test_rule_135_tags_that_may_stand_in_both_do_not_differ(
    ts_stream: Recording, ll_stream: Recording
) -> None:
    for recording in (ts_stream, ll_stream):
        for entry in recording.entries:
            assert "#EXT-X-START" not in entry
        declared = {
            "#EXT-X-INDEPENDENT-SEGMENTS" in text
            for name in recording.names
            for text in recording.texts(name)
        }
        # In all media playlists, or else in the multivariant one alone.
        assert declared == {True} or "#EXT-X-INDEPENDENT-SEGMENTS" in recording.entries[-1]
