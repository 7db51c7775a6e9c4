"""Timed ID3 in MPEG-TS: what the muxer writes, judged by the strict reader and by real programs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from hlsorigin.codecs.id3 import private_frame, tag, text_frame
from hlsorigin.media.sample import Sample
from hlsorigin.media.timed_metadata import ID3_SCHEME, SCTE35_SCHEME, TimedMetadata
from hlsorigin.mpegts.muxer import METADATA_PID, TsMuxer
from hlsorigin.mpegts.psi import ID3_METADATA_DESCRIPTOR, id3_pointer_descriptor
from tests.mpegts.feeds import (
    aac_track,
    by_dts,
    steady_audio,
    steady_video,
    video,
    video_track,
)
from tests.support.id3_reader import Frame, read_tag
from tests.support.ts_reader import METADATA, TsSegment, TsState, read_segment

START = 900_000
FFMPEG, FFPROBE, GST = (shutil.which(name) for name in ("ffmpeg", "ffprobe", "gst-launch-1.0"))


def item(time_90k: int, text: str = "hello", scheme: str = ID3_SCHEME) -> TimedMetadata:
    return TimedMetadata(time_90k, None, scheme, "", 1, tag(text_frame("d", text)))


def av_muxer(*, has_metadata: bool = True) -> TsMuxer:
    muxer = TsMuxer()
    muxer.set_tracks((video_track(), aac_track()), has_metadata=has_metadata)
    return muxer


def av(seconds: int = 2, start: int = START) -> list[Sample]:
    count = seconds * 90_000 // 1920 + 1
    return by_dts(
        steady_video(30 * seconds, start=start, gop=30 * seconds),
        steady_audio(count, start=start),
    )


def times(segment: TsSegment) -> list[int]:
    return [pes.pts for pes in segment.of_type(METADATA)]


def test_descriptors_byte_by_byte() -> None:
    """ISO/IEC 13818-1 2.6.58 and 2.6.60 with the values of Apple's text, 2.3."""
    assert id3_pointer_descriptor(0x0102).hex() == "250fffff49443320ff49443320001f0102"
    assert ID3_METADATA_DESCRIPTOR.hex() == "260dffff49443320ff49443320000f"


def test_tags_stand_among_the_samples() -> None:
    muxer, state = av_muxer(), TsState()
    first = [item(START + 90_000, "b"), item(START + 30_000, "a"), item(START + 179_000, "c")]
    segment = read_segment(muxer.mux(av(), starts_segment=True, metadata=first), state)
    assert segment.streams[METADATA_PID] == METADATA
    assert times(segment) == [START + 30_000, START + 90_000, START + 179_000]
    found = [read_tag(pes.payload) for pes in segment.of_type(METADATA)]
    assert found == [[Frame("TXXX", "d", text)] for text in "abc"]
    order = [pes.pts for pes in segment.in_order if pes.pid in (METADATA_PID, segment.pcr_pid)]
    assert order == sorted(order)
    again = read_segment(
        muxer.mux(av(start=START + 180_000), starts_segment=True, metadata=[item(START + 200_000)]),
        state,
    )
    assert times(again) == [START + 200_000]


def test_a_long_tag_fills_several_packets() -> None:
    data = bytes(range(256)) * 100
    big = TimedMetadata(START, None, ID3_SCHEME, "", 1, tag(private_frame("com.example", data)))
    segment = read_segment(av_muxer().mux(av(), starts_segment=True, metadata=[big]))
    [pes] = segment.of_type(METADATA)
    assert read_tag(pes.payload) == [Frame("PRIV", "com.example", data)]


def test_tags_of_one_moment_and_late_ones() -> None:
    """A PID's times increase; what came too late applies with the samples it came with."""
    same = [item(START + 9000, "x"), item(START + 9000, "y"), item(START - 500_000, "late")]
    segment = read_segment(av_muxer().mux(av(), starts_segment=True, metadata=same))
    assert times(segment) == [START, START + 9000, START + 9001]


def test_only_id3_and_only_where_announced() -> None:
    plain = av_muxer(has_metadata=False).mux(av(), starts_segment=True)
    given_but_not_announced = av_muxer(has_metadata=False).mux(
        av(), starts_segment=True, metadata=[item(START + 9000)]
    )
    assert given_but_not_announced == plain
    segment = read_segment(
        av_muxer().mux(av(), starts_segment=True, metadata=[item(START, scheme=SCTE35_SCHEME)])
    )
    assert times(segment) == []


def test_the_stream_comes_and_goes_with_the_pmt() -> None:
    muxer, state = av_muxer(has_metadata=False), TsState()
    versions = []
    for n, has_metadata in enumerate((False, True, True, False)):
        muxer.set_tracks((video_track(), aac_track()), has_metadata=has_metadata)
        start = START + n * 180_000
        piece = muxer.mux(av(start=start), starts_segment=True, metadata=[item(start + 3000)])
        segment = read_segment(piece, state)
        versions.append(segment.pmt_version)
        assert len(times(segment)) == has_metadata
    assert versions == [0, 1, 1, 2]


def test_one_frame_in_ten_seconds() -> None:
    """The clock is filled up to a tag that stands alone; never over a second ahead of PCR."""
    muxer = TsMuxer()
    muxer.set_tracks((video_track(),), has_metadata=True)
    samples = [video(START, 900_000, key=True), video(START + 900_000, 900_000, key=True)]
    tags = [item(START + n * 90_000) for n in range(20)]
    segment = read_segment(muxer.mux(samples, starts_segment=True, metadata=tags))
    assert times(segment) == [START + n * 90_000 for n in range(20)]


def test_empty_part_carries_what_is_due() -> None:
    muxer, state = av_muxer(), TsState()
    read_segment(muxer.mux(av(), starts_segment=True), state)
    assert muxer.mux((), starts_segment=False) == b""
    part = muxer.mux((), starts_segment=False, metadata=[item(START + 190_000)])
    assert times(read_segment(part, state, opens_segment=False)) == [START + 190_000]
    opening = muxer.mux((), starts_segment=True)
    assert len(read_segment(opening, state).pcrs) == 1
    read_segment(muxer.mux(av(start=START + 270_000), starts_segment=True), state)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-90_000, 400_000), max_size=12),
    st.lists(st.integers(1, 90), min_size=1, max_size=4),
    st.booleans(),
)
def test_any_tags_in_any_parts_keep_the_rules(
    offsets: list[int], cuts: list[int], has_video: bool
) -> None:
    muxer, state = TsMuxer(), TsState()
    tracks = (video_track(), aac_track()) if has_video else (aac_track(),)
    muxer.set_tracks(tracks, has_metadata=True)
    samples = [each for each in av(4) if has_video or each.track_id != 1]
    bounds = sorted({0, *(min(cut * 3, len(samples) - 1) for cut in cuts), len(samples)})
    found = 0
    for n, (a, b) in enumerate(zip(bounds, bounds[1:], strict=False)):
        part, later = samples[a:b], samples[b:]
        until = later[0].dts if later else START + 400_001
        here = [
            item(START + each)
            for each in offsets
            if each + START < until and (n == 0 or each + START >= part[0].dts)
        ]
        piece = muxer.mux(part, starts_segment=n == 0, metadata=here)
        found += len(times(read_segment(piece, state, opens_segment=n == 0)))
    assert found == len(offsets)


@pytest.mark.skipif(not (FFMPEG and FFPROBE), reason="no ffmpeg and ffprobe here")
def test_ffprobe_finds_the_tags(tmp_path: Path) -> None:
    path = written(tmp_path)
    done = subprocess.run(
        [str(FFPROBE), "-v", "warning", "-show_streams", "-show_packets", "-of", "json", path],
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    [stream] = [each for each in found["streams"] if each["id"] == hex(METADATA_PID)]
    assert (stream["codec_name"], stream["codec_type"]) == ("timed_id3", "data")
    packets = [each for each in found["packets"] if each["stream_index"] == stream["index"]]
    assert [each["pts"] for each in packets] == [START + 9000, START + 180_000 + 45_000]
    # Older ffmpeg takes the first 5 bytes for the header of a metadata access unit, which this
    # stream_id has none of, and passes over them.
    size = len(item(0).payload)
    assert {int(each["size"]) for each in packets} <= {size, size - 5}


@pytest.mark.skipif(not FFMPEG, reason="no ffmpeg here")
def test_ffmpeg_writes_the_same_descriptor(tmp_path: Path) -> None:
    """ffmpeg's own muxer describes a timed_id3 stream with these bytes, too."""
    path, copy = written(tmp_path), tmp_path / "copy.ts"
    subprocess.run(
        [str(FFMPEG), "-v", "error", "-i", path, "-map", "0:d", "-c", "copy", copy],
        capture_output=True, timeout=50, check=True,
    )  # fmt: skip
    assert ID3_METADATA_DESCRIPTOR in copy.read_bytes()


@pytest.mark.skipif(not GST, reason="no GStreamer here")
def test_gstreamer_has_nothing_to_complain_about(tmp_path: Path) -> None:
    """tsdemux checks continuity, tables and PES; both media streams come through."""
    sink = "fakesink sync=false async=false"
    pipeline = (
        f"-q filesrc location={written(tmp_path)} ! tsdemux name=d "
        f"d. ! video/x-h264 ! queue ! h264parse ! {sink} "
        f"d. ! audio/mpeg ! queue ! aacparse ! {sink}"
    )
    done = subprocess.run(
        [str(GST), *pipeline.split()],
        capture_output=True, text=True, timeout=50, check=False,
        env={**os.environ, "GST_DEBUG": "tsdemux:2,mpegts*:2,baseparse:2,*:1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def written(folder: Path) -> Path:
    """Write two segments with a tag each."""
    muxer, path = av_muxer(), folder / "tagged.ts"
    path.write_bytes(
        muxer.mux(av(), starts_segment=True, metadata=[item(START + 9000)])
        + muxer.mux(
            av(start=START + 180_000), starts_segment=True, metadata=[item(START + 225_000)]
        )
    )
    return path
