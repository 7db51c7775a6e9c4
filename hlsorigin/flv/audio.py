"""AAC and MP3 of a publish: FLV payloads to tracks and samples.

A track is announced right before the first sample that needs it, so that a sequence header that
changes and changes back between two frames costs nothing; the very first one at once.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from hlsorigin.codecs.aac import (
    ADTS_HEADER_BYTES,
    MAX_ADTS_FRAME_BYTES,
    AacConfig,
    parse_adts_header,
)
from hlsorigin.codecs.mp3 import Mp3Config, iter_frames
from hlsorigin.errors import CodecError, PeerError, Truncated, Unsupported
from hlsorigin.flv.drops import Drops
from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TICKS_PER_MS, TIMESCALE, rescale
from hlsorigin.media.track import AudioConfig, MediaKind, Track

AUDIO_TRACK_ID: Final = 2
#: Encoders put one frame in a message, some a few; a message of this many has a second and more.
MAX_FRAMES_PER_MESSAGE: Final = 64

Item: TypeAlias = Track | Sample | Note

_MISSING_CONFIG: Final = (
    "AAC frames before the sequence header are dropped; if this goes on, let the encoder send "
    "AudioSpecificConfig at the start"
)


def audio_track_id(number: int) -> int:
    """Give the ``Track.track_id`` of an audio track of the publish; number 0 is the default."""
    return AUDIO_TRACK_ID + 2 * number


class AudioDepacketizer:
    """One per track. Raises nothing on peer data."""

    def __init__(self, drops: Drops, track_id: int = AUDIO_TRACK_ID) -> None:
        self._drops = drops
        self._track_id = track_id
        self._asc: bytes | None = None  # the last sequence header that could be read
        self._aac: AacConfig | None = None  # from the sequence header, else from ADTS
        self._is_aac_from_adts = False
        self._refusal = ("missing_config", _MISSING_CONFIG)  # why there is no config
        self._announced: AudioConfig | None = None

    def aac_sequence_header(self, body: bytes) -> list[Item]:
        """Take an AudioSpecificConfig (FLV 10.1 E.4.2.2); empty ones are ignored."""
        if not body or body == self._asc:
            return []
        try:
            config = AacConfig.parse(body)
        except PeerError as err:
            return [*self._drops.repeated("broken_config", f"AAC sequence header: {err}")]
        except Unsupported as err:
            self._asc = self._aac = None
            self._refusal = ("unsupported_codec", f"{err} is not supported; send AAC-LC or HE-AAC")
            return []
        self._asc, self._aac, self._is_aac_from_adts = body, config, False
        return self._announce(config) if self._announced is None else []

    def aac(self, timestamp_ms: int, body: bytes) -> list[Item]:
        """Take AAC data: one raw frame, or ADTS frames from encoders that wrap them twice."""
        if not body:
            return []
        frames, asc = _split_adts(body)
        longest = max(map(len, frames), default=0)
        if longest > MAX_ADTS_FRAME_BYTES - ADTS_HEADER_BYTES:
            # The standard allows 768 bytes per channel (14496-3 4.5.1.1).
            return [*self._drops.frame("broken_frame", f"AAC frame of {longest} bytes skipped")]
        if asc is not None and (self._aac is None or self._is_aac_from_adts):
            self._take_config_from_adts(asc)
        config = self._aac
        if config is None:
            return [*self._drops.once(*self._refusal)]
        return self._emit(config, config.core_sample_rate, timestamp_ms, frames)

    def mp3(self, timestamp_ms: int, body: bytes) -> list[Item]:
        """Take one or more frames of MPEG audio."""
        frames: list[bytes] = []
        config: Mp3Config | None = None
        problem = ""
        try:
            for header, frame in iter_frames(body):
                if config not in (None, header.config) or len(frames) == MAX_FRAMES_PER_MESSAGE:
                    raise CodecError("format changes or too many frames in one message")
                config = header.config
                frames.append(frame)
        except (CodecError, Truncated) as err:
            problem = str(err)
        items: list[Item] = []
        # A damaged header looks like another format: a new one must fit to the end.
        if config is not None and (not problem or config == self._announced):
            items += self._emit(config, config.sample_rate, timestamp_ms, frames)
        if problem:
            items += self._drops.frame("broken_frame", f"MP3 frame skipped: {problem}")
        return items

    def _take_config_from_adts(self, asc: bytes) -> None:
        if self._aac is not None and self._aac.asc == asc:
            return
        try:
            self._aac = AacConfig.parse(asc)
        except (PeerError, Unsupported):
            return  # channels by program config element: not known without decoding
        self._is_aac_from_adts = True

    def _emit(
        self,
        config: AacConfig | Mp3Config,
        sample_rate: int,
        timestamp_ms: int,
        frames: list[bytes],
    ) -> list[Item]:
        items = self._announce(config)
        start = timestamp_ms * TICKS_PER_MS
        samples_per_frame = config.samples_per_frame
        duration = rescale(samples_per_frame, TIMESCALE, sample_rate)
        for index, frame in enumerate(frames):
            # From the count, so that rounding does not add up.
            dts = start + rescale(index * samples_per_frame, TIMESCALE, sample_rate)
            items.append(Sample(self._track_id, dts, dts, duration, True, frame))
        return items

    def _announce(self, config: AudioConfig) -> list[Item]:
        if config == self._announced:
            return []
        self._announced = config
        return [Track(self._track_id, MediaKind.AUDIO, config)]


def _split_adts(body: bytes) -> tuple[list[bytes], bytes | None]:
    """Give the raw frames, and the config when they were in ADTS.

    No raw frame looks like ADTS: its first three bits would be ID_END, an empty frame
    (14496-3 table 4.85). Still, only headers that lead exactly to the end are believed.
    """
    if body[0] != 0xFF:
        return [body], None
    frames: list[bytes] = []
    asc: bytes | None = None
    position = 0
    try:
        for _ in range(MAX_FRAMES_PER_MESSAGE):
            if position == len(body):
                break
            header = parse_adts_header(body, position)
            end = position + header.frame_bytes
            if asc not in (None, header.asc):
                return [body], None
            asc = header.asc
            if header.frame_bytes > header.header_bytes:
                frames.append(body[position + header.header_bytes : end])
            position = end
    except (CodecError, Truncated):
        return [body], None
    return (frames, asc) if position == len(body) else ([body], None)
