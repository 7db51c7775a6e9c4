"""Playlists for ``inspect``: what they list and which rules of RFC 8216 they break."""

from __future__ import annotations

import math
from typing import Any

import m3u8

from hlsorigin.errors import ContainerError
from hlsorigin.inspection.report import Report, Section


def inspect_m3u8(data: bytes, report: Report) -> None:
    """Fill a report. Raises ContainerError when the text is no playlist."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as err:
        raise ContainerError(f"not UTF-8 (RFC 8216 4.1) at offset {err.start}") from err
    if data.startswith(b"\xef\xbb\xbf"):
        report.problems.append("starts with a byte order mark (RFC 8216 4.1 forbids it)")
        text = text[1:]
    try:
        playlist = m3u8.loads(text)
    except Exception as err:  # the library lets through whatever its string handling meets
        raise ContainerError(f"can't be read as a playlist: {err!r}") from err
    if playlist.is_variant:
        _inspect_multivariant(playlist, report)
    else:
        _inspect_media(playlist, report)


def _inspect_multivariant(playlist: Any, report: Report) -> None:
    report.sections.append(
        Section.facts(
            "playlist",
            type="multivariant",
            version=playlist.version,
            independent_segments=bool(playlist.is_independent_segments),
        )
    )
    variants = Section("variants", ["uri", "bandwidth", "average", "resolution", "fps", "codecs"])
    for variant in playlist.playlists:
        about = variant.stream_info
        size = "x".join(map(str, about.resolution)) if about.resolution else None
        variants.rows.append(
            [
                variant.uri,
                about.bandwidth,
                about.average_bandwidth,
                size,
                about.frame_rate,
                about.codecs,
            ]
        )
    report.sections.append(variants)
    if playlist.media:
        media = Section("renditions", ["type", "group", "name", "language", "uri"])
        media.rows += [[m.type, m.group_id, m.name, m.language, m.uri] for m in playlist.media]
        report.sections.append(media)


def _inspect_media(playlist: Any, report: Report) -> None:
    segments = playlist.segments
    durations_s = [_duration_s(segment) for segment in segments]
    report.sections.append(
        Section.facts(
            "playlist",
            type="media, " + _kind(playlist),
            version=playlist.version,
            target_duration=playlist.target_duration,
            media_sequence=playlist.media_sequence,
            discontinuity_sequence=playlist.discontinuity_sequence,
            segments=len(segments),
            discontinuities=sum(1 for segment in segments if segment.discontinuity),
            duration_s=float(sum(durations_s)),
        )
    )
    table = Section("segments", ["number", "uri", "duration s", "date", "discontinuity"])
    first = playlist.media_sequence or 0
    for index, segment in enumerate(segments):
        date = segment.program_date_time
        table.rows.append(
            [
                first + index,
                segment.uri,
                segment.duration,
                date.isoformat(timespec="milliseconds") if date else None,
                bool(segment.discontinuity),
            ]
        )
    report.sections.append(table)
    report.problems += _media_problems(playlist, durations_s)


def _duration_s(segment: Any) -> float:
    duration_s = segment.duration
    return duration_s if duration_s is not None and math.isfinite(duration_s) else 0.0


def _kind(playlist: Any) -> str:
    if playlist.is_endlist:
        return "ended"
    return str(playlist.playlist_type).upper() if playlist.playlist_type else "live"


def _media_problems(playlist: Any, durations_s: list[float]) -> list[str]:
    target_s = playlist.target_duration
    problems = []
    if target_s is None:
        problems.append("no EXT-X-TARGETDURATION (RFC 8216 4.3.3.1 requires it)")
    for segment, duration_s in zip(playlist.segments, durations_s, strict=True):
        if segment.duration is None:
            problems.append(f"{segment.uri}: no EXTINF (RFC 8216 4.3.2.1 requires it)")
        # "Rounded to the nearest integer" (4.3.3.1); halves up, unlike Python's round.
        elif target_s is not None and math.floor(duration_s + 0.5) > target_s:
            problems.append(
                f"{segment.uri}: EXTINF {duration_s:g} is over the target duration {target_s:g} "
                "(RFC 8216 4.3.3.1)"
            )
    version = int(playlist.version or 1)
    if version < 3 and any(duration_s % 1 for duration_s in durations_s):
        problems.append(f"EXTINF with decimals needs version 3, not {version} (RFC 8216 7)")
    if not playlist.is_endlist and target_s and sum(durations_s) < 3 * target_s:
        problems.append(
            f"live with {sum(durations_s):g} s listed, less than three target durations: "
            "players stall (RFC 8216 6.2.2)"
        )
    return problems
