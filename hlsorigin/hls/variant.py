"""What the multivariant playlist says of the renditions, from what was measured and is listed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from hlsorigin.hls.bandwidth import BitrateMeter
from hlsorigin.hls.multivariant import AlternativeRendition, MultivariantPlaylist, Variant
from hlsorigin.hls.window import Segment
from hlsorigin.media.track import AudioConfig, MediaKind, Track, TrackInfo, VideoConfig

_AUDIO_GROUP: Final = "audio"
#: What LANGUAGE takes (RFC 5646), as far as its shape goes.
_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*")


@dataclass(frozen=True, slots=True)
class Listed:
    """A rendition as its media playlist has it."""

    uri: str
    #: It carries audio alone, for the viewer to choose.
    is_audio: bool
    #: Oldest first.
    segments: Sequence[Segment]
    meter: BitrateMeter
    #: Pictures a second; None without video.
    measured_rate: Fraction | None

    def tracks(self, kind: MediaKind | None = None) -> list[Track]:
        """Give every track of any segment, newest first: CODECS names them all (8216bis 6.2.4)."""
        tracks: dict[Track, None] = {}
        for segment in reversed(self.segments):
            tracks.update(dict.fromkeys(segment.tracks))
        return [track for track in tracks if kind is None or track.kind is kind]


def describe_entry(
    listed: Sequence[Listed], infos: Mapping[int, TrackInfo]
) -> MultivariantPlaylist:
    """Give a stream's multivariant playlist: a variant per video, a group of the audio tracks.

    Args:
        listed: the main rendition first.
        infos: language and name of tracks, by track id.
    """
    videos = [each for each in listed if not each.is_audio]
    audios = [each for each in listed if each.is_audio]
    renditions = _audio_group(videos, audios, infos)
    is_hdr = any(_range_of(each) != "SDR" for each in videos)
    return MultivariantPlaylist(
        [_describe(each, audios, is_hdr=is_hdr, has_group=bool(renditions)) for each in videos],
        renditions,
    )


def _describe(video: Listed, audios: Sequence[Listed], *, is_hdr: bool, has_group: bool) -> Variant:
    tracks = video.tracks()
    config = next((t.config for t in tracks if isinstance(t.config, VideoConfig)), None)
    heard = [track for each in audios for track in each.tracks()]
    codecs = [track.config.codec_string for track in (*tracks, *heard)]
    more = [t.config.supplemental_codec for t in tracks if isinstance(t.config, VideoConfig)]
    return Variant(
        uri=video.uri,
        # Of the audio group, whichever the viewer chooses (8216bis 4.4.6.2).
        bandwidth_bps=video.meter.peak_bps + max((a.meter.peak_bps for a in audios), default=0),
        average_bandwidth_bps=video.meter.average_bps
        + max((a.meter.average_bps for a in audios), default=0),
        codecs=list(dict.fromkeys(codecs)),
        resolution=(config.width, config.height) if config is not None else None,
        frame_rate=_frame_rate(config, video.measured_rate),
        audio_group=_AUDIO_GROUP if has_group else None,
        video_range=_range_of(video) if is_hdr and config is not None else None,
        supplemental_codecs=[each for each in dict.fromkeys(more) if each is not None],
    )


def _audio_group(
    videos: Sequence[Listed], audios: Sequence[Listed], infos: Mapping[int, TrackInfo]
) -> list[AlternativeRendition]:
    """Give the audio tracks to choose from; none where there is no choice to make."""
    if not audios:
        return []
    # In the variants' own segments only where the newest has it: an earlier publish may have
    # been audio alone.
    newest = videos[0].segments[-1].tracks if videos and videos[0].segments else ()
    muxed = [track for track in newest if track.kind is MediaKind.AUDIO][:1]
    choices: list[tuple[Track | None, str | None]] = [(track, None) for track in muxed]
    choices += [(next(iter(each.tracks()), None), each.uri) for each in audios]
    renditions: list[AlternativeRendition] = []
    names: set[str] = set()
    for number, (track, uri) in enumerate(choices, 1):
        info = infos.get(track.track_id, TrackInfo()) if track is not None else TrackInfo()
        name = info.label or info.language or f"Audio {number}"
        name = name if name not in names else f"{name} ({number})"
        names.add(name)
        config = track.config if track is not None else None
        renditions.append(
            AlternativeRendition(
                group_id=_AUDIO_GROUP,
                name=name,
                language=info.language if _LANGUAGE_TAG.fullmatch(info.language) else None,
                default=number == 1,
                channels=config.hls_channels if isinstance(config, AudioConfig) else None,
                uri=uri,
            )
        )
    return renditions


def _range_of(video: Listed) -> str:
    ranges: Iterable[str] = (
        track.config.video_range
        for track in video.tracks(MediaKind.VIDEO)
        if isinstance(track.config, VideoConfig)
    )
    return next(iter(ranges), "SDR")


def _frame_rate(video: VideoConfig | None, measured: Fraction | None) -> Fraction | None:
    """Give what the SPS says, unless more pictures come than that (4.4.6.2: it is a maximum)."""
    if video is None or measured is None:
        return None
    nominal = video.frame_rate
    if nominal is not None and measured * 20 <= nominal * 21:
        return nominal
    return measured
