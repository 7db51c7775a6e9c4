"""Audio of enhanced RTMP: Opus, FLAC, AC-3 and E-AC-3 beside the AAC and MP3 of old.

One message has one packet, frame or access unit of these four.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hlsorigin.codecs.ac3 import parse_ac3_frame
from hlsorigin.codecs.flac import FlacConfig, parse_flac_header
from hlsorigin.codecs.opus import OpusConfig, packet_samples, parse_opus_head, stereo_config
from hlsorigin.errors import PeerError, Unsupported
from hlsorigin.flv.audio import AUDIO_TRACK_ID, AudioDepacketizer, Item
from hlsorigin.flv.drops import Drops
from hlsorigin.flv.enhanced import ExAudioPacket, four_cc_name
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TICKS_PER_MS, TIMESCALE, rescale
from hlsorigin.media.track import AudioConfig

AAC: Final = b"mp4a"
MP3: Final = b".mp3"
OPUS: Final = b"Opus"
FLAC: Final = b"fLaC"
AC3: Final = b"ac-3"
EAC3: Final = b"ec-3"
#: What is demuxed, in the order it is told to clients.
AUDIO_FOUR_CCS: Final = (AAC, MP3, OPUS, FLAC, AC3, EAC3)

#: Without a header there is no mapping for more (RFC 7845 5.1.1.1).
_MAX_HEADLESS_CHANNELS: Final = 2
#: Channel order and count; a mask or a mapping follows.
_MULTICHANNEL_CONFIG_BYTES: Final = 2
_MISSING_CONFIG: Final = {
    OPUS: "Opus packets before SequenceStart are dropped; let the encoder send OpusHead first",
    FLAC: "FLAC frames before SequenceStart are dropped; let the encoder send STREAMINFO first",
}


class ExAudioDepacketizer(AudioDepacketizer):
    """One per track. Raises nothing on peer data."""

    def __init__(self, drops: Drops, track_id: int = AUDIO_TRACK_ID) -> None:
        super().__init__(drops, track_id)
        self._opus: OpusConfig | None = None
        self._is_opus_headless = False  # its SequenceStart was empty
        self._opus_channels = _MAX_HEADLESS_CHANNELS  # by MultichannelConfig
        self._flac: FlacConfig | None = None

    def take(self, packet_type: int, four_cc: bytes, timestamp_ms: int, body: bytes) -> list[Item]:
        """Take what a message holds for this track (E-RTMP v2, ExAudioTagBody).

        Args:
            packet_type: ``ExAudioPacket`` or another number.
            four_cc: one of ``AUDIO_FOUR_CCS``.
            timestamp_ms: of the message.
            body: behind the headers.
        """
        match packet_type:
            case ExAudioPacket.CODED_FRAMES:
                return self._coded_frames(four_cc, timestamp_ms, body) if body else []
            case ExAudioPacket.SEQUENCE_START:
                return self._sequence_start(four_cc, body)
            case ExAudioPacket.MULTICHANNEL_CONFIG:
                self._take_multichannel_config(body)
                return []
            case ExAudioPacket.SEQUENCE_END:
                return []  # silence follows, or nothing
        what = f"{four_cc_name(four_cc)} in packets of type {packet_type}"
        return [*self._drops.once("unsupported_packet", f"{what} is not in the standard; skipped")]

    def _sequence_start(self, four_cc: bytes, body: bytes) -> list[Item]:
        if four_cc == AAC:
            return self.aac_sequence_header(body)
        config: AudioConfig
        try:
            if four_cc == OPUS:
                self._is_opus_headless = not body
                if not body:
                    self._opus = None
                    return []  # a MultichannelConfig may follow
                config = self._opus = parse_opus_head(body)
            elif four_cc == FLAC and body:
                config = self._flac = parse_flac_header(body)
            else:
                return []  # MP3 and AC-3 tell everything in their frames
        except (PeerError, Unsupported) as err:
            message = f"{four_cc_name(four_cc)} header: {err}"
            return [*self._drops.repeated("broken_config", message)]
        return self._announce(config) if self._announced is None else []

    def _take_multichannel_config(self, body: bytes) -> None:
        """Take channel order and count; only Opus without a header does not say it by itself."""
        if len(body) >= _MULTICHANNEL_CONFIG_BYTES:
            self._opus_channels = body[1]

    def _coded_frames(self, four_cc: bytes, timestamp_ms: int, body: bytes) -> list[Item]:
        if four_cc == AAC:
            return self.aac(timestamp_ms, body)
        if four_cc == MP3:
            return self.mp3(timestamp_ms, body)
        config: AudioConfig | None
        try:
            if four_cc == OPUS:
                config, samples = self._opus_frame(body)
            elif four_cc == FLAC:
                config, samples = self._flac_frame(body)
            else:
                config = frame = parse_ac3_frame(body)
                samples = frame.samples_per_frame
        except PeerError as err:
            name = four_cc_name(four_cc)
            return [*self._drops.frame("broken_frame", f"{name} frame skipped: {err}")]
        except Unsupported as err:
            return [*self._drops.once("unsupported_codec", str(err))]
        if config is None:
            return [*self._drops.once("missing_config", _MISSING_CONFIG[four_cc])]
        dts = timestamp_ms * TICKS_PER_MS
        duration = rescale(samples, TIMESCALE, config.clock_rate_hz)
        return [*self._announce(config), Sample(self._track_id, dts, dts, duration, True, body)]

    def _opus_frame(self, body: bytes) -> tuple[OpusConfig | None, int]:
        config = self._opus
        if config is None and self._is_opus_headless:
            config = _headless_opus(self._opus_channels)
        return config, packet_samples(body)

    def _flac_frame(self, body: bytes) -> tuple[FlacConfig | None, int]:
        config = self._flac
        return config, 0 if config is None else config.frame_samples(body)


def _headless_opus(channels: int) -> OpusConfig:
    """Make the config of Opus without its ID header.

    Raises:
        Unsupported: there is no mapping for so many channels.
    """
    if not 0 < channels <= _MAX_HEADLESS_CHANNELS:
        raise Unsupported(f"Opus of {channels} channels needs its ID header in SequenceStart")
    config = stereo_config()
    return (
        config
        if channels == config.channels
        else replace(config, channels=1, coupled_count=0, mapping=b"\x00")
    )
