"""Samples in, MPEG-TS segments out: ``hls.muxer.Muxer`` for MPEG-TS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hlsorigin.codecs.aac import AacConfig
from hlsorigin.codecs.h264 import AvcConfig
from hlsorigin.codecs.mp3 import Mp3Config
from hlsorigin.errors import CodecError, Unsupported
from hlsorigin.media.sample import Sample
from hlsorigin.media.timebase import TICKS_PER_MS, TIMESCALE
from hlsorigin.media.timed_metadata import ID3_SCHEME, TimedMetadata
from hlsorigin.media.track import CodecConfig, MediaKind, Track
from hlsorigin.mpegts.packet import (
    COUNTER_MODULUS,
    DISCONTINUITY,
    PAT_PID,
    PCR_FLAG,
    RANDOM_ACCESS,
    PidPackets,
    pcr_field,
)
from hlsorigin.mpegts.pcr import PCR_LEAD_90K, PcrClock
from hlsorigin.mpegts.pes import (
    AUDIO_HEADER_LENGTH,
    MAX_METADATA_BYTES,
    MAX_PES_LENGTH,
    annexb_parameter_sets,
    audio_pes,
    metadata_pes,
    video_pes,
)
from hlsorigin.mpegts.psi import (
    ID3_METADATA_DESCRIPTOR,
    VERSION_MODULUS,
    Pat,
    Pmt,
    PmtStream,
    StreamType,
    id3_pointer_descriptor,
    section_packets,
)

TRANSPORT_STREAM_ID: Final = 1
PROGRAM_NUMBER: Final = 1
PMT_PID: Final = 0x1000
#: The first track of each kind has this PID, whatever the other tracks are, so that a counter goes
#: on when a track falls silent. Further tracks follow from ``_FIRST_OTHER_PID`` on.
VIDEO_PID: Final = 0x100
AUDIO_PID: Final = 0x101
#: MP3 has another: ffmpeg keeps the decoder of a PID, also when the PMT changes its stream type.
MPEG_AUDIO_PID: Final = 0x111
#: Where a codec's name is not that of its class.
_CODEC_NAMES: Final = {
    "Hevc": "HEVC", "Av1": "AV1", "Vp9": "VP9", "Flac": "FLAC", "Ac3": "AC-3", "Eac3": "E-AC-3",
}  # fmt: skip
_FIRST_OTHER_PID: Final = 0x102
#: Timed ID3.
METADATA_PID: Final = 0x180
_FIRST_PIDS: Final = {AvcConfig: VIDEO_PID, AacConfig: AUDIO_PID, Mp3Config: MPEG_AUDIO_PID}

#: Audio frames of this much time share a PES: one PES per frame would spend a fifth of 128 kbit/s
#: on headers and stuffing.
_AUDIO_PES_90K: Final = 170 * TICKS_PER_MS
#: Without video each audio PES carries a PCR, which is due every 100 ms.
_AUDIO_ONLY_PES_90K: Final = 80 * TICKS_PER_MS
#: Only a PES's first frame has a PTS; players count on from there. A frame further off than this
#: from where they'd count it begins a new PES. ``hls.timeline`` rounds by one tick and steers by up
#: to eight per frame.
_CONTIGUOUS_90K: Final = 45
#: Audio behind the last picture has a PCR this close; 90 ms more come before the next one is due.
_MAX_AHEAD_90K: Final = 850 * TICKS_PER_MS
_METADATA_STREAM: Final = PmtStream(StreamType.ID3_METADATA, METADATA_PID, ID3_METADATA_DESCRIPTOR)


class _AudioUnit:
    """Audio frames in a row that share a PES."""

    __slots__ = ("dts", "duration", "frames", "payload_bytes", "pts", "track_id")

    def __init__(self, first: Sample) -> None:
        self.track_id = first.track_id
        self.dts = first.dts
        self.pts = first.pts
        self.duration = 0  # sum over the frames
        self.payload_bytes = 0
        self.frames: list[bytes] = []  # in pieces: header, frame, header, frame, ...

    def accepts(self, sample: Sample, size: int, limit_90k: int) -> bool:
        """Say whether a frame of ``size`` bytes may follow."""
        return (
            -_CONTIGUOUS_90K <= sample.pts - self.pts - self.duration <= _CONTIGUOUS_90K
            and self.duration + sample.duration <= limit_90k
            and AUDIO_HEADER_LENGTH + self.payload_bytes + size <= MAX_PES_LENGTH
        )


class _TsStream:
    """What the muxer knows of one track."""

    __slots__ = ("adts", "packets", "parameter_sets", "pid", "stream_type", "track")

    def __init__(self, track: Track, pid: int, packets: PidPackets) -> None:
        self.track = track
        self.pid = pid
        self.packets = packets
        config = track.config
        self.stream_type = stream_type_of(track)
        #: Makes the ADTS header of each frame; None for MP3, whose frames have their own.
        self.adts = config if isinstance(config, AacConfig) else None
        #: In front of every IDR picture; empty for audio.
        self.parameter_sets = (
            annexb_parameter_sets(config.sps, config.pps) if isinstance(config, AvcConfig) else b""
        )


def stream_type_of(track: Track) -> StreamType:
    """Give the stream_type of a track's codec (spec.md rule 63).

    Raises:
        Unsupported: MPEG-TS can't carry the codec, or not with these parameters.
    """
    config = track.config
    if isinstance(config, AvcConfig):
        return StreamType.AVC
    if isinstance(config, AacConfig):
        config.check_adts()
        return StreamType.ADTS
    if isinstance(config, Mp3Config):
        return StreamType(config.stream_type)
    raise Unsupported(
        f"{_name_of(config)} can't be carried in MPEG-TS here; "
        "send H.264 video, and AAC or MP3 audio"
    )


def _name_of(config: CodecConfig) -> str:
    name = type(config).__name__.removesuffix("Config")
    return f"{_CODEC_NAMES.get(name, name)} ({config.codec_string})"


class TsMuxer:
    """The transport stream of one live stream, over all its segments and publishes.

    Keeps continuity counters, PCR and the PMT's version (invariant: a player that reads all
    segments in a row sees one transport stream).

    Spec: ISO/IEC 13818-1, RFC 8216 3.2; spec.md rules 50 to 65.
    """

    file_extension: Final = "ts"
    #: The PMT names the PID of timed metadata.
    declares_metadata: Final = True

    def __init__(self) -> None:
        self._tracks: tuple[Track, ...] | None = None
        self._has_metadata = False
        self._streams: dict[int, _TsStream] = {}  # by track_id
        self._packets: dict[int, PidPackets] = {}  # by PID; outlives the tracks
        self._pcr_track_id = 0
        self._metadata_pts = 0  # of the last ID3 tag
        self._clock = PcrClock()
        pat = Pat(TRANSPORT_STREAM_ID, 0, ((PROGRAM_NUMBER, PMT_PID),))
        self._pat_packets = section_packets(PAT_PID, pat.serialize())  # by counter
        self._pmt_packets: Sequence[bytes] = ()  # by counter
        self._pmt_version = -1
        self._psi_counter = 0  # of PAT and PMT, which always go together
        self._unopened: set[int] = set()  # tracks of which the segment has nothing yet
        self._clock_waits = False  # nothing of the PCR's track comes in what is muxed now

    def check_track(self, track: Track) -> None:
        """Refuse a track that MPEG-TS can't carry.

        Raises:
            Unsupported: with a sentence that names the codec.
        """
        stream_type_of(track)

    def init_section(self) -> None:
        """Give nothing: every segment begins with PAT and PMT."""

    def set_tracks(self, tracks: Sequence[Track], *, has_metadata: bool = False) -> None:
        """Say which tracks the following segments carry, at least one.

        The PMT's version grows when a codec, a configuration or the set of tracks changed.

        Args:
            has_metadata: the PMT names a stream of timed ID3, as Apple's "Timed Metadata for HTTP
                Live Streaming" has it.

        Raises:
            Unsupported: as ``check_track``; nothing has changed then.
        """
        if (tuple(tracks), has_metadata) == (self._tracks, self._has_metadata):
            return
        pids = _assign_pids(tracks)
        streams = {
            track.track_id: _TsStream(track, pid, self._packets.get(pid) or PidPackets(pid))
            for track, pid in zip(tracks, pids, strict=True)
        }
        self._tracks, self._has_metadata = tuple(tracks), has_metadata
        self._streams = streams
        self._packets.update((each.pid, each.packets) for each in streams.values())
        by_pid = sorted(streams.values(), key=lambda each: each.pid)
        clock_stream = by_pid[0]  # video where there is video
        self._pcr_track_id = clock_stream.track.track_id
        self._pmt_version = (self._pmt_version + 1) % VERSION_MODULUS
        entries = tuple(PmtStream(each.stream_type, each.pid) for each in by_pid)
        about_program = b""
        if has_metadata:
            entries += (_METADATA_STREAM,)
            about_program = id3_pointer_descriptor(PROGRAM_NUMBER)
            self._packets.setdefault(METADATA_PID, PidPackets(METADATA_PID))
        pmt = Pmt(PROGRAM_NUMBER, self._pmt_version, clock_stream.pid, entries, about_program)
        self._pmt_packets = section_packets(PMT_PID, pmt.serialize())

    def mux(
        self,
        samples: Sequence[Sample],
        *,
        starts_segment: bool,
        metadata: Sequence[TimedMetadata] = (),
        date_offset_90k: int | None = None,
    ) -> bytes:
        """Give the packets of the samples; no PES crosses the end.

        Args:
            samples: of the tracks set, in order of ``dts`` over all tracks, with their durations.
            starts_segment: every track's first unit is marked as a point to start at. PAT, PMT and
                PCR come first in any case.
            metadata: ID3 tags get a PES each, in order of time among the samples, which they lie
                within; other schemes, and tags too long for a PES, are left out. Before the first
                sample of all there is no clock to place them on: left out, too.
            date_offset_90k: not used.

        Raises:
            CodecError: the NAL units of a video sample don't fill it, an audio frame is too long
                for a PES or for ADTS. No counter has moved then.
        """
        units = self._units(samples)
        payloads = [self._pes(unit) for unit in units]
        tags = self._due_tags(metadata)
        out: list[bytes] = []
        first_dts = samples[0].dts if samples else self._clock.end_90k + PCR_LEAD_90K
        # In parts too: players begin with any that is independent, before they have any other.
        needs_clock = starts_segment or bool(samples or tags)
        if needs_clock:
            self._write_psi(out)
        self._clock_waits = not any(each.track_id == self._pcr_track_id for each in samples)
        last_clock_dts = max(
            (each.dts for each in samples if each.track_id == self._pcr_track_id),
            default=first_dts - 1,
        )
        if starts_segment:
            self._unopened = set(self._streams)
        for unit, pes in zip(units, payloads, strict=True):
            while tags and unit is not units[0] and tags[-1].time_90k < unit.dts:
                self._write_tag(tags.pop(), first_dts, out)
            opens = unit.track_id in self._unopened
            self._unopened.discard(unit.track_id)
            adaptation = self._unit_clock(unit, last_clock_dts, needs_clock, out)
            needs_clock = False
            if opens if isinstance(unit, _AudioUnit) else unit.is_sync:
                flags = adaptation[0] if adaptation else 0
                adaptation = bytes((flags | RANDOM_ACCESS,)) + adaptation[1:]
            self._streams[unit.track_id].packets.packetize(pes, out, adaptation)
        if needs_clock and self._clock.has_started:
            self._restate_clock(first_dts, out)
        while tags:
            self._write_tag(tags.pop(), first_dts, out)
        self._fill_clock(self._clock.end_90k, out)
        return b"".join(out)

    # ---- elementary streams ----------------------------------------------------------------

    def _units(self, samples: Sequence[Sample]) -> list[Sample | _AudioUnit]:
        """Give what becomes one PES each, in order of the first DTS."""
        units: list[Sample | _AudioUnit] = []
        open_units: dict[int, _AudioUnit] = {}  # by track_id
        has_video = any(each.track.kind is MediaKind.VIDEO for each in self._streams.values())
        limit = _AUDIO_PES_90K if has_video else _AUDIO_ONLY_PES_90K
        for sample in samples:
            stream = self._streams[sample.track_id]
            if stream.track.kind is MediaKind.VIDEO:
                units.append(sample)
                continue
            frame = sample.data
            header = stream.adts.adts_header(len(frame)) if stream.adts else b""
            size = len(header) + len(frame)
            unit = open_units.get(sample.track_id)
            if unit is None or not unit.accepts(sample, size, limit):
                if AUDIO_HEADER_LENGTH + size > MAX_PES_LENGTH:
                    raise CodecError(f"audio frame of {size} bytes")
                unit = open_units[sample.track_id] = _AudioUnit(sample)
                units.append(unit)
            unit.frames += (header, frame)
            unit.payload_bytes += size
            unit.duration += sample.duration
        return units

    def _pes(self, unit: Sample | _AudioUnit) -> bytes | bytearray:
        if isinstance(unit, _AudioUnit):
            return audio_pes(unit.frames, unit.payload_bytes, unit.pts)
        return video_pes(unit, self._streams[unit.track_id].parameter_sets)

    def _due_tags(self, metadata: Sequence[TimedMetadata]) -> list[TimedMetadata]:
        """Give the ID3 tags to be written, the latest first."""
        if not self._has_metadata:
            return []
        tags = [
            each
            for each in metadata
            if each.scheme_id_uri == ID3_SCHEME and len(each.payload) <= MAX_METADATA_BYTES
        ]
        return sorted(tags, key=lambda each: each.time_90k)[::-1]

    def _write_tag(self, tag: TimedMetadata, first_dts: int, out: list[bytes]) -> None:
        """Write the PES of an ID3 tag behind the unit that it follows.

        The clock of the samples goes on as if it weren't there, and is never behind its PTS: one
        that comes too late for its time applies when the samples begin that it came with.
        """
        if not self._clock.has_started:
            return
        pts = max(tag.time_90k, first_dts)
        if 0 <= self._metadata_pts - pts < TIMESCALE:
            pts = self._metadata_pts + 1  # a PID's times increase (spec.md rule 65)
        self._metadata_pts = pts
        self._fill_clock(min(pts - PCR_LEAD_90K, self._clock.end_90k), out)
        self._packets[METADATA_PID].packetize(metadata_pes(tag.payload, pts), out)

    # ---- tables and clock ------------------------------------------------------------------

    def _write_psi(self, out: list[bytes]) -> None:
        out += (self._pat_packets[self._psi_counter], self._pmt_packets[self._psi_counter])
        self._psi_counter = (self._psi_counter + 1) % COUNTER_MODULUS

    def _unit_clock(
        self, unit: Sample | _AudioUnit, last_clock_dts: int, needs_clock: bool, out: list[bytes]
    ) -> bytes:
        """Write the PCR that are due before a unit; give the one that its first packet carries.

        Args:
            last_clock_dts: of the last unit on the PCR's PID.
            needs_clock: one must come, due or not.
        """
        if unit.track_id == self._pcr_track_id:
            adaptation = self._clock_adaptation(unit.dts, out)
            self._clock.extend(unit.duration)
            return adaptation
        before = len(out)
        self._write_clock(unit.dts, unit.dts <= last_clock_dts, out)
        if needs_clock and len(out) == before:
            self._restate_clock(unit.dts, out)
        return b""

    def _clock_adaptation(self, dts_90k: int, out: list[bytes]) -> bytes:
        """Give flags and PCR for a packet that begins a unit on the PCR's PID."""
        flags = PCR_FLAG
        if self._clock.jumps_at(dts_90k):
            # 2.4.3.4: a new time base is announced; the stream's first PCR breaks with nothing.
            flags |= DISCONTINUITY if self._clock.has_started else 0
        else:
            self._fill_clock(dts_90k - PCR_LEAD_90K, out)
        return bytes((flags,)) + pcr_field(self._clock.stamp(dts_90k))

    def _write_clock(self, dts_90k: int, may_follow: bool, out: list[bytes]) -> None:
        """Write the PCR that is due before a unit on another PID.

        Args:
            may_follow: False behind the last frame of the PCR's track: the next segment may begin
                with an earlier DTS, because audio is cut by PTS, so PCR stays within the frame.
        """
        if self._clock.jumps_at(dts_90k):
            discontinuity = self._clock.has_started
            base = self._clock.stamp(dts_90k)
            packets = self._streams[self._pcr_track_id].packets
            out.append(packets.clock_packet(base, discontinuity=discontinuity))
            return
        due = dts_90k - PCR_LEAD_90K
        if not may_follow:
            # Most of the lead is given up where bytes would else come a second before their DTS.
            end = self._clock.end_90k
            latest = end + PCR_LEAD_90K * 9 // 10
            if self._clock_waits:
                latest = dts_90k  # a part in a hole: the next frame comes behind it
            due = min(due, max(end, min(dts_90k - _MAX_AHEAD_90K, latest)))
        self._fill_clock(due, out)

    def _restate_clock(self, dts_90k: int, out: list[bytes]) -> None:
        """Write a PCR that is not due yet."""
        packets = self._streams[self._pcr_track_id].packets
        base = self._clock.restate(min(dts_90k - PCR_LEAD_90K, self._clock.end_90k))
        out.append(packets.clock_packet(base, discontinuity=False))

    def _fill_clock(self, until_90k: int, out: list[bytes]) -> None:
        """Write packets with nothing but a PCR, so that one at ``until_90k`` is not too late."""
        packets = self._streams[self._pcr_track_id].packets
        out += [
            packets.clock_packet(base, discontinuity=False) for base in self._clock.fill(until_90k)
        ]


def _assign_pids(tracks: Sequence[Track]) -> list[int]:
    pids: list[int] = []
    other = _FIRST_OTHER_PID
    for track in tracks:
        pid = _FIRST_PIDS.get(type(track.config), AUDIO_PID)
        if pid in pids:
            pid, other = other, other + 1
        pids.append(pid)
    return pids
