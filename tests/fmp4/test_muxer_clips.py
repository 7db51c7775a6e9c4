"""Real encoders' streams through our muxer, judged by a strict reader, ffmpeg and GStreamer."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from hlsorigin.fmp4.muxer import Fmp4Muxer
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track
from tests.fmp4.feeds import feed, merge, parts_of
from tests.support.elementary import FFMPEG, clip, clip_path
from tests.support.mp4_reader import Mp4Checker, Segment

FFPROBE, GST = shutil.which("ffprobe"), shutil.which("gst-launch-1.0")
pytestmark = pytest.mark.skipif(not (FFMPEG and FFPROBE), reason="no ffmpeg and ffprobe here")

VIDEO, AUDIO = 1, 2
#: 2**32 ticks pass in the first second, and a 32-bit tfdt would wrap (rule 71).
START = (1 << 32) - 90_000
DATE = 1_760_000_000 * 90_000
PAIRS = [
    ("h264", "aac"), ("h264_30", "aac_44k"), ("h264_no_b", "mp3"), ("hevc", "eac3"),
    ("hevc_pq", "ac3"), ("hevc_hlg", "aac_51"), ("av1", "opus"), ("vp9", "flac"),
    ("h264", None), ("av1", None), ("vp9", None), (None, "aac"), (None, "opus_51"), (None, "flac"),
]  # fmt: skip


def run(*command: str | Path | None) -> str:
    """Run a tool that must have nothing to complain about; give its output."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def source(video: str | None, audio: str | None) -> tuple[list[Track], list[Sample]]:
    """Give the tracks and their samples, the audio a frame behind the video."""
    feeds = []
    if video:
        feeds.append(feed(video, VIDEO, START))
    if audio:
        feeds.append(feed(audio, AUDIO, START + 1000))
    return [track for track, _ in feeds], merge(*(samples for _, samples in feeds))


def mux(tracks: list[Track], samples: list[Sample], whole: bool = False) -> list[bytes]:
    """Give init section and parts, or whole segments."""
    muxer = Fmp4Muxer()
    muxer.set_tracks(tracks)
    out = [muxer.init_section() or b""]
    pieces = parts_of(samples, VIDEO if tracks[0].track_id == VIDEO else None)
    if whole:
        joined: list[tuple[list[Sample], bool]] = []
        for part, starts in pieces:
            if starts:
                joined.append(([], True))
            joined[-1][0].extend(part)
        pieces = joined
    for part, starts in pieces:
        out.append(muxer.mux(part, starts_segment=starts, date_offset_90k=DATE - START))
    return out


@pytest.mark.parametrize("whole", [False, True], ids=["parts", "segments"])
@pytest.mark.parametrize(("video", "audio"), PAIRS)
def test_strict_reader_finds_every_sample(
    video: str | None, audio: str | None, whole: bool
) -> None:
    tracks, samples = source(video, audio)
    checker = Mp4Checker()
    for piece in mux(tracks, samples, whole):
        found = checker.feed(piece)
        if isinstance(found, Segment):
            assert [(p.flags, p.track_id) for p in found.prfts] == [(24, tracks[0].track_id)]
            (prft,) = found.prfts
            assert checker.init is not None
            timescale = checker.init.tracks[prft.track_id].timescale
            date = Fraction(prft.ntp, 1 << 32) - 2_208_988_800
            media = Fraction(prft.media_time, timescale) + Fraction(DATE - START, 90_000)
            assert abs(date - media) < Fraction(3, 90_000)
    for track_id, name in ((VIDEO, video), (AUDIO, audio)):
        if name is None:
            continue
        found_samples, sent = checker.samples[track_id], clip(name).samples
        assert [s.data for s in found_samples] == [s.data for s in sent]
        assert [s.is_sync for s in found_samples] == [s.is_sync for s in sent]
        # Durations are those of the encoder to the tick: nothing is lost in 90 kHz.
        assert [s.duration_s for s in found_samples[:-1]] == [s.duration_s for s in sent[:-1]]
        wanted = [s for s in samples if s.track_id == track_id]
        for ours, theirs in zip(found_samples, wanted, strict=True):
            tolerance = 0 if track_id == VIDEO else Fraction(2, 90_000)
            assert abs(ours.pts_s - Fraction(theirs.pts, 90_000)) <= tolerance
            assert abs(ours.dts_s - Fraction(theirs.dts, 90_000)) <= tolerance


@pytest.mark.parametrize("name", ["h264", "hevc_pq", "av1", "vp9", "aac", "opus_51", "flac",
                                  "ac3", "eac3", "mp3"])  # fmt: skip
def test_init_section_says_what_ffmpegs_says(name: str) -> None:
    """Sizes, rates and the configuration box are those of ffmpeg's own file."""
    track, _ = feed(name, VIDEO, START)
    muxer, checker = Fmp4Muxer(), Mp4Checker()
    muxer.set_tracks([track])
    checker.feed(muxer.init_section() or b"")
    assert checker.init is not None
    ours, theirs = checker.init.tracks[VIDEO].entry, clip(name).entry
    assert "cmfc" in checker.init.brands
    for key in ("codec", "width", "height", "channel_count", "sample_rate", "sample_size_bits"):
        assert getattr(ours, key) == getattr(theirs, key), key
    for kind in {"avcC", "av1C", "vpcC", "dOps", "dac3", "colr", "pasp"} & set(ours.boxes):
        if kind in theirs.boxes:
            assert ours.boxes[kind] == theirs.boxes[kind], kind


@pytest.mark.parametrize(("video", "audio"), PAIRS)
def test_ffmpeg_decodes_the_same_pictures(
    video: str | None, audio: str | None, tmp_path: Path
) -> None:
    tracks, samples = source(video, audio)
    path = tmp_path / "ours.mp4"
    path.write_bytes(b"".join(mux(tracks, samples)))
    assert run(FFMPEG, "-v", "warning", "-xerror", "-i", path, "-f", "null", "-") == ""
    if video:
        assert pictures(path) == pictures(clip_path(video))
    found: dict[int, list[tuple[int, int]]] = {VIDEO: [], AUDIO: []}
    text = run(FFPROBE, "-v", "error", "-show_packets", "-show_streams", "-of", "json", path)
    report = json.loads(text)
    ids = {each["index"]: int(each["id"], 0) for each in report["streams"]}
    scale = {each["index"]: Fraction(each["time_base"]) for each in report["streams"]}
    for packet in report["packets"]:
        index = packet["stream_index"]
        times = (packet["pts"] * scale[index] * 90_000, packet["dts"] * scale[index] * 90_000)
        found[ids[index]].append((round(times[0]), round(times[1])))
    for track_id, times_found in found.items():
        wanted = [(s.pts, s.dts) for s in samples if s.track_id == track_id]
        assert len(times_found) == len(wanted)
        for one, other in zip(times_found, wanted, strict=True):
            assert abs(one[0] - other[0]) <= (track_id == AUDIO) * 2
            assert abs(one[1] - other[1]) <= (track_id == AUDIO) * 2


def pictures(path: Path) -> list[str]:
    """Give a hash of each decoded picture."""
    text = run(FFMPEG, "-v", "error", "-i", path, "-map", "0:v", "-vsync", "passthrough",
               "-f", "framemd5", "-")  # fmt: skip
    return [line.split(",")[-1] for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.skipif(not GST, reason="no GStreamer here")
@pytest.mark.parametrize(("video", "audio"), [("h264", "aac"), ("vp9", "opus"), ("h264", "flac")])
def test_gstreamer_demuxes(video: str, audio: str, tmp_path: Path) -> None:
    tracks, samples = source(video, audio)
    path = tmp_path / "ours.mp4"
    path.write_bytes(b"".join(mux(tracks, samples)))
    out = [tmp_path / "video", tmp_path / "audio"]
    done = subprocess.run(
        [GST or "", "-q", "filesrc", f"location={path}", "!", "qtdemux", "name=d",
         "d.video_0", "!", "queue", "!", "filesink", "async=false", f"location={out[0]}",
         "d.audio_0", "!", "queue", "!", "filesink", "async=false", f"location={out[1]}"],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    for file, name in zip(out, (video, audio), strict=True):
        assert file.read_bytes() == b"".join(s.data for s in clip(name).samples)
