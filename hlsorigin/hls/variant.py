"""What the multivariant playlist says of a rendition, from what was measured and what is listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from hlsorigin.hls.bandwidth import BitrateMeter
from hlsorigin.hls.playlist import Variant
from hlsorigin.hls.window import Segment
from hlsorigin.media.track import Track, VideoConfig


def describe_variant(
    uri: str, segments: Sequence[Segment], meter: BitrateMeter, measured_rate: Fraction | None
) -> Variant:
    """Give the variant's EXT-X-STREAM-INF.

    Args:
        segments: the listed ones, oldest first.
        measured_rate: pictures a second; None without video.
    """
    tracks = _listed_tracks(segments)
    video = next((t.config for t in tracks if isinstance(t.config, VideoConfig)), None)
    return Variant(
        uri=uri,
        bandwidth_bps=meter.peak_bps,
        average_bandwidth_bps=meter.average_bps,
        codecs=list(dict.fromkeys(track.config.codec_string for track in tracks)),
        resolution=(video.width, video.height) if video is not None else None,
        frame_rate=_frame_rate(video, measured_rate),
    )


def _listed_tracks(segments: Iterable[Segment]) -> list[Track]:
    """Give every track of any segment, newest first: CODECS names them all (8216bis 6.2.4)."""
    tracks: dict[Track, None] = {}
    for segment in reversed(list(segments)):
        tracks.update(dict.fromkeys(segment.tracks))
    return list(tracks)


def _frame_rate(video: VideoConfig | None, measured: Fraction | None) -> Fraction | None:
    """Give what the SPS says, unless more pictures come than that (4.4.6.2: it is a maximum)."""
    if video is None or measured is None:
        return None
    nominal = video.frame_rate
    if nominal is not None and measured * 20 <= nominal * 21:
        return nominal
    return measured
