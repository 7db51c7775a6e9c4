"""A real encoder's stream through our muxer, judged by ffmpeg and ffprobe."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import MediaKind, Track
from hlsorigin.mpegts.muxer import TsMuxer
from hlsorigin.mpegts.reader import TsReader
from tests.support.ts_reader import (
    ADTS,
    VIDEO,
    TsState,
    read_segment,
    signed,
    split_adts,
    split_annexb,
)

FFMPEG, FFPROBE = shutil.which("ffmpeg"), shutil.which("ffprobe")
pytestmark = pytest.mark.skipif(not (FFMPEG and FFPROBE), reason="no ffmpeg and ffprobe here")

#: Start just below the wrap, so that both tracks pass it.
START = (1 << 33) - 90_000
AUD, SPS, PPS = 9, 7, 8
KEYFRAMES_EVERY = 25


@dataclass
class Clip:
    """A clip as demuxed, and as our segments."""

    tracks: tuple[Track, Track]
    samples: list[Sample]


def run(*command: str | Path | None) -> str:
    """Run a tool that must have nothing to complain about; give its output."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=50, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ffmpeg's own TS: 3 s of 320x180 with B-frames, several slices, and AAC at 44.1 kHz."""
    path = tmp_path_factory.mktemp("source") / "source.ts"
    run(
        FFMPEG, "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=3",
        "-f", "lavfi", "-i", "sine=f=440:r=44100:d=3", "-c:v", "libx264", "-preset", "veryfast",
        "-g", str(KEYFRAMES_EVERY), "-sc_threshold", "0", "-bf", "2", "-slices", "3",
        "-x264-params", "b-pyramid=none", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "64k",
        path,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def clip(source: Path) -> Clip:
    """Take ffmpeg's TS apart with the elementary part of the test reader."""
    elementary = {}
    for stream, form in (("v", "h264"), ("a", "adts")):
        path = source.with_suffix("." + form)
        run(FFMPEG, "-v", "error", "-i", source, "-map", f"0:{stream}", "-c", "copy", "-f", form,
            path)  # fmt: skip
        elementary[stream] = path.read_bytes()
    times = probe(source)
    nals = split_annexb(elementary["v"])
    sps = next(nal for nal in nals if nal[0] & 31 == SPS)
    pps = next(nal for nal in nals if nal[0] & 31 == PPS)
    tracks = (
        Track(1, MediaKind.VIDEO, AvcConfig.from_parameter_sets((sps,), (pps,))),
        Track(2, MediaKind.AUDIO, AacConfig.parse(bytes.fromhex("1208"))),  # LC, 44.1 kHz, mono
    )
    units: list[list[bytes]] = []
    for nal in nals:
        if nal[0] & 31 == AUD:
            units.append([])
        elif nal[0] & 31 not in (SPS, PPS):
            units[-1].append(nal)
    samples = []
    for unit, (pts, dts) in zip(units, times["video"], strict=True):
        octets = b"".join(len(nal).to_bytes(4, "big") + nal for nal in unit)
        is_sync = any(nal[0] & 31 == 5 for nal in unit)
        samples.append(Sample(1, START + dts, START + pts, 3600, is_sync, octets))
    origin = times["audio"][0][0]
    for n, frame in enumerate(split_adts(elementary["a"])):
        at, end = (START + origin + k * 1024 * 90_000 // 44_100 for k in (n, n + 1))
        samples.append(Sample(2, at, at, end - at, True, frame.payload))
    return Clip(tracks, sorted(samples, key=lambda each: each.dts))


def probe(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Give (pts, dts) of each packet by kind of stream, as ffprobe reads them."""
    found: dict[str, list[tuple[int, int]]] = {"video": [], "audio": []}
    text = run(FFPROBE, "-v", "error", "-show_packets", "-of", "json", path)
    for packet in json.loads(text)["packets"]:
        found[packet["codec_type"]].append((packet["pts"], packet["dts"]))
    return found


def segments_of(samples: list[Sample]) -> list[list[Sample]]:
    """Cut before each keyframe but the first."""
    cuts = [n for n, each in enumerate(samples) if each.track_id == 1 and each.is_sync][1:]
    return [samples[a:b] for a, b in zip([0, *cuts], [*cuts, len(samples)], strict=True)]


def test_segments_hold_the_rules(clip: Clip) -> None:
    muxer, state = TsMuxer(), TsState()
    muxer.set_tracks(clip.tracks)
    segments = segments_of(clip.samples)
    assert len(segments) == 3
    for samples in segments:
        segment = read_segment(muxer.mux(samples, starts_segment=True), state)
        assert len(segment.of_type(VIDEO)) == KEYFRAMES_EVERY
        assert segment.of_type(ADTS)


def test_ffmpeg_decodes_without_a_word(clip: Clip, tmp_path: Path) -> None:
    muxer, path = TsMuxer(), tmp_path / "ours.ts"
    muxer.set_tracks(clip.tracks)
    pieces = [muxer.mux(samples, starts_segment=True) for samples in segments_of(clip.samples)]
    path.write_bytes(b"".join(pieces))
    assert run(FFMPEG, "-v", "warning", "-xerror", "-i", path, "-f", "null", "-") == ""
    for number, piece in enumerate(pieces):  # a player may begin with any segment
        alone = tmp_path / f"{number}.ts"
        alone.write_bytes(piece)
        assert run(FFMPEG, "-v", "warning", "-xerror", "-i", alone, "-f", "null", "-") == ""


def test_ffprobe_finds_the_times(clip: Clip, tmp_path: Path) -> None:
    muxer, path = TsMuxer(), tmp_path / "ours.ts"
    muxer.set_tracks(clip.tracks)
    path.write_bytes(
        b"".join(muxer.mux(each, starts_segment=True) for each in segments_of(clip.samples))
    )
    found = probe(path)
    for kind, track_id, tolerance in (("video", 1, 0), ("audio", 2, 1)):
        wanted = [(s.pts, s.dts) for s in clip.samples if s.track_id == track_id]
        assert len(found[kind]) == len(wanted)
        # ffprobe unwraps in its own way, and counts audio from each PES on with its own rounding.
        for one, other in zip(found[kind], wanted, strict=True):
            assert abs(signed(one[0] - other[0])) <= tolerance
            assert abs(signed(one[1] - other[1])) <= tolerance


def test_audio_alone_decodes(clip: Clip, tmp_path: Path) -> None:
    muxer, path = TsMuxer(), tmp_path / "audio.ts"
    muxer.set_tracks(clip.tracks[1:])
    samples = [each for each in clip.samples if each.track_id == 2]
    piece = muxer.mux(samples, starts_segment=True)
    read_segment(piece)
    path.write_bytes(piece)
    assert run(FFMPEG, "-v", "warning", "-xerror", "-i", path, "-f", "null", "-") == ""


def test_our_reader_reads_ffmpegs_own(source: Path) -> None:
    """ffmpeg begins with an SDT, which is in no PAT, and repeats its tables."""
    reader = TsReader()
    reader.feed(source.read_bytes())
    found, times = reader.finish(), probe(source)
    by_type = {each.stream_type: each.pid for each in found.programs[1].streams}
    frames = [pes for pes in found.pes if pes.pid == by_type[VIDEO]]
    assert [(pes.pts, pes.dts) for pes in frames] == times["video"]
    assert [n for n, pes in enumerate(frames) if pes.is_keyframe] == [0, 25, 50]
    assert (found.continuity_errors, found.errors) == (0, [])
