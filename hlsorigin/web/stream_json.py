"""A stream as the admin API describes it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hlsorigin.live.rendition import Rendition
from hlsorigin.live.stream import LiveStream
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.media.track import MediaKind, Track
from hlsorigin.store.base import SegmentStore


def describe_stream(stream: LiveStream, store: SegmentStore) -> dict[str, Any]:
    """Give all that is known of a stream."""
    app, _, name = stream.name.partition("/")
    usage = store.usage(stream.name)
    return {
        "app": app,
        "name": name,
        "group": stream.group.name.partition("/")[2] if stream.group is not None else None,
        "state": stream.state.value,
        "started_at": _time(stream.started_s),
        "publishes": stream.publishes,
        "publisher": _describe_publisher(stream),
        "tracks": [_describe_track(track) for track in stream.tracks],
        "ingest": _describe_ingest(stream),
        "hls": _describe_hls(stream),
        "renditions": [_describe_rendition(each) for each in stream.renditions],
        "stored_bytes": usage.bytes,
        "stored_resources": usage.resources,
        "events": [
            {
                "at": _time(each.wallclock_s),
                "code": each.note.code,
                "message": each.note.message,
            }
            for each in stream.record.notes
        ],
        "data_events": [
            {"at": _time(each.wallclock_s), "name": each.name, "values": _plain(each.values)}
            for each in stream.record.data_events
        ],
    }


def _describe_publisher(stream: LiveStream) -> dict[str, Any] | None:
    publisher = stream.publisher
    if publisher is None:
        return None
    info = publisher.info
    return {"protocol": info.protocol, "address": info.address, "encoder": publisher.encoder}


def _describe_track(track: Track) -> dict[str, Any]:
    config = track.config
    described: dict[str, Any] = {"kind": track.kind.value, "codec": config.codec_string}
    for field in ("width", "height", "sample_rate", "channels"):
        value = getattr(config, field, None)
        if value is not None:
            described[field] = value
    if track.kind is MediaKind.VIDEO:
        rate = getattr(config, "frame_rate", None)
        described["nominal_frame_rate"] = round(float(rate), 3) if rate else None
    return described


def _describe_ingest(stream: LiveStream) -> dict[str, Any] | None:
    packager = stream.packager
    if packager is None:
        return None
    interval = packager.keyframe_interval_90k
    return {
        "samples": stream.samples_received,
        "frames_dropped": packager.frames_dropped,
        "timestamp_jumps": packager.timestamp_jumps,
        "keyframe_interval_s": round(interval / TIMESCALE, 3) if interval else None,
        "frame_rate": round(float(stream.main.frame_rate), 3) if stream.main.frame_rate else None,
    }


def _describe_hls(stream: LiveStream) -> dict[str, Any]:
    part_target = stream.targets.part_target_90k
    return {
        "container": stream.container,
        "target_duration_s": stream.target_duration_s,
        "part_target_s": round(part_target / TIMESCALE, 6) if part_target else None,
        **_describe_window(stream.main),
    }


def _describe_rendition(rendition: Rendition) -> dict[str, Any]:
    return {
        "name": rendition.name,
        "playlist": rendition.playlist_name,
        "codecs": [track.config.codec_string for track in rendition.tracks],
        "held_requests": len(rendition.waiters),
        **_describe_window(rendition),
    }


def _describe_window(rendition: Rendition) -> dict[str, Any]:
    window, meter = rendition.window, rendition.meter
    segments = window.segments
    return {
        "media_sequence": window.media_sequence,
        "discontinuity_sequence": window.discontinuity_sequence,
        "segments": len(segments),
        "window_s": round(sum(each.duration_90k for each in segments) / TIMESCALE, 3),
        "last_segment_s": round(segments[-1].duration_90k / TIMESCALE, 3) if segments else None,
        "bandwidth_bps": meter.peak_bps,
        "average_bandwidth_bps": meter.average_bps,
        "is_ended": window.is_ended,
    }


def _plain(value: object) -> Any:
    """Give AMF values as JSON; what JSON has no word for becomes text."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value - value != 0:  # NaN and infinities
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def _time(wallclock_s: float) -> str:
    return datetime.fromtimestamp(wallclock_s, UTC).isoformat(timespec="milliseconds")
