"""The handle through which an ingest feeds a stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hlsorigin.media.note import Note
from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track, TrackInfo


class PublishTarget(Protocol):
    """What a publisher feeds: the part of ``live.stream.LiveStream`` that it sees."""

    @property
    def is_congested(self) -> bool:
        """Finished segments pile up in front of the store."""

    def set_track(self, track: Track) -> None:
        """Announce a track or its new config."""

    def write(self, sample: Sample, wallclock_s: float) -> None:
        """Package the next sample."""

    def note(self, note: Note) -> None:
        """Log what was noticed and keep it for the API."""

    def set_track_infos(self, infos: Mapping[int, TrackInfo]) -> None:
        """Take what the encoder says about its tracks, by track id."""

    def data_event(self, name: str, values: Sequence[object], raw_90k: int | None = None) -> None:
        """Pass a data event of the encoder on to players, and keep it for the API."""

    def end_publish(self, publisher: Publisher, reason: str) -> None:
        """The publisher left: finish the open segment and wait for a return."""


@dataclass(frozen=True, slots=True)
class PublisherInfo:
    """Who publishes, for the log and the API."""

    #: ``rtmp``.
    protocol: str
    #: ``host:port`` of the peer.
    address: str
    #: What the encoder calls itself when it connects (RTMP: flashVer).
    encoder: str = ""


class Publisher:
    """One publish on one stream; made by ``StreamHub.publish``.

    After ``close`` or after the stream took the publish away (``on_end`` was called), everything
    written is ignored.
    """

    def __init__(
        self,
        stream: PublishTarget,
        info: PublisherInfo,
        on_end: Callable[[str], None],
        now_s: float,
        ask_to_reconnect: Callable[[str | None], bool] | None = None,
    ) -> None:
        self._stream = stream
        self.info = info
        self._on_end = on_end
        self._ask_to_reconnect = ask_to_reconnect
        self._drained: Callable[[], None] | None = None
        #: Monotonic time of the last media; ``idle_timeout`` counts from it.
        self.last_media_s = now_s
        #: What the encoder calls itself; its metadata may say more than ``info``.
        self.encoder = info.encoder
        self.is_open = True

    def set_track(self, track: Track) -> None:
        """Announce a track or its new config."""
        if self.is_open:
            self._stream.set_track(track)

    def write(self, sample: Sample, wallclock_s: float) -> None:
        """Hand over the next sample of an announced track."""
        if self.is_open:
            self._stream.write(sample, wallclock_s)

    def note(self, note: Note) -> None:
        """Report what the demuxer noticed."""
        if self.is_open:
            self._stream.note(note)

    def set_track_infos(self, infos: Mapping[int, TrackInfo]) -> None:
        """Hand over what the encoder says about its tracks, by track id."""
        if self.is_open:
            self._stream.set_track_infos(infos)

    def data_event(self, name: str, values: Sequence[object], raw_90k: int | None = None) -> None:
        """Hand over a data event (onTextData, onCuePoint, onFI, ...).

        Args:
            raw_90k: when, on the encoder's clock, as the times of its samples.
        """
        if self.is_open:
            self._stream.data_event(name, values, raw_90k)

    def ask_to_reconnect(self, tc_url: str | None) -> bool:
        """Ask the peer to connect again.

        Args:
            tc_url: where to; None: the address it came to.
        Returns:
            False when its protocol, or the peer, does not know how.
        """
        return (
            self.is_open and self._ask_to_reconnect is not None and self._ask_to_reconnect(tc_url)
        )

    @property
    def is_congested(self) -> bool:
        """The store is behind: read no more from the peer until ``when_drained`` calls."""
        return self.is_open and self._stream.is_congested

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called once when the store has caught up, or the publish ended."""
        self._drained = callback

    def resume(self) -> None:
        """Call what ``when_drained`` left; for the stream."""
        callback, self._drained = self._drained, None
        if callback is not None:
            callback()

    def close(self, reason: str) -> None:
        """End the publish: the peer left. The stream waits for it to come back."""
        if self.is_open:
            self.is_open = False
            self._stream.end_publish(self, reason)

    def end(self, reason: str) -> None:
        """Take the publish away (takeover, idle, store full, shutdown); the ingest is told."""
        if self.is_open:
            self.close(reason)
            self._on_end(reason)
