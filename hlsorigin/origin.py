"""The composition root: builds every part from the settings, starts and stops them in order.

The only file that knows everybody. The tables below are where a new store, container or ingest is
entered; its code is one file elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

import hlsorigin
from hlsorigin.auth.base import AllowAll
from hlsorigin.fmp4.muxer import Fmp4Muxer
from hlsorigin.hls.muxer import Muxer
from hlsorigin.hls.policy import SegmentPolicy
from hlsorigin.ingest.base import Ingest
from hlsorigin.ingest.rtmp import RtmpIngest, RtmpOptions
from hlsorigin.live.clock import SystemClock
from hlsorigin.live.hub import AppPolicy, StreamHub
from hlsorigin.live.stream_settings import StreamSettings
from hlsorigin.media.timebase import TIMESCALE
from hlsorigin.mpegts.muxer import TsMuxer
from hlsorigin.net import bind_socket, url_host
from hlsorigin.rtmp.session import SessionLimits
from hlsorigin.settings import HlsSettings, PublishSettings, Settings, StoreSettings
from hlsorigin.store.base import SegmentStore
from hlsorigin.store.disk import DiskStore
from hlsorigin.store.memory import MemoryStore
from hlsorigin.web.admin import AdminApp
from hlsorigin.web.app import create_public_app
from hlsorigin.web.server import HttpServer, make_server
from hlsorigin.web.tls import Certificate, load_certificate

_log = structlog.stdlib.get_logger("hlsorigin")

#: With ``hls.container = "auto"`` the first that carries every track.
MUXERS: Final[Mapping[str, Callable[[], Muxer]]] = {"mpegts": TsMuxer, "fmp4": Fmp4Muxer}
STORES: Final[Mapping[str, Callable[[StoreSettings], SegmentStore]]] = {
    "memory": lambda store: MemoryStore(store.max_bytes, store.max_stream_bytes),
    "disk": lambda store: DiskStore(
        store.path, store.max_bytes, store.max_stream_bytes, store.fsync, store.cache_bytes
    ),
}

#: 2025-01-01T00:00:00Z, from which names and numbers count (``hls.naming``).
_CLOCK_IS_SET_S: Final = 1_735_689_600
#: How long shutdown waits for open segments to be stored.
_SETTLE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running origin listens, as ``host:port`` for local programs."""

    rtmp: str
    http: str
    #: None when the admin listener is off.
    admin: str | None


class Origin:
    """A running server.

    Raises (from the constructor):
        OSError: an address can't be bound.
        SettingsError: a setting that only shows its fault now (a missing file).
    """

    def __init__(self, settings: Settings) -> None:
        clock = SystemClock()
        self._settings = settings
        self._store = STORES[settings.store.kind](settings.store)
        # Parts live for seconds: in memory, whatever the store.
        parts = MemoryStore(settings.store.max_bytes, settings.store.max_stream_bytes)
        self.hub = StreamHub(self._store, clock, self._policy_for, MUXERS, parts)
        self._ingest: Ingest = RtmpIngest(self.hub, AllowAll(), clock, _rtmp_options(settings))
        self._admin = AdminApp(
            self.hub, self._store, [each.get_secret_value() for each in settings.admin.tokens]
        )
        public = create_public_app(
            self.hub,
            self._store,
            parts,
            player_page=settings.http.player_page,
            hls_js_path=settings.http.hls_js_path,
        )
        certificate = load_certificate(settings.http.tls_certificate, settings.http.tls_key)
        with contextlib.ExitStack() as bound:
            self._rtmp_socket = bound.enter_context(bind_socket(settings.rtmp.listen))
            http = bound.enter_context(bind_socket(settings.http.listen))
            self._servers = [(self._make_server(public, certificate), http)]
            self.addresses = Addresses(url_host(self._rtmp_socket), url_host(http), None)
            if settings.admin.listen is not None:
                admin = bound.enter_context(bind_socket(settings.admin.listen))
                self._servers.append((self._make_server(self._admin.build()), admin))
                self.addresses = Addresses(
                    url_host(self._rtmp_socket), url_host(http), url_host(admin)
                )
            bound.pop_all()
        self._stop = asyncio.Event()

    def _make_server(self, app: object, certificate: Certificate | None = None) -> HttpServer:
        http = self._settings.http
        return make_server(
            app,
            keep_alive_s=http.keep_alive,
            max_connections=http.max_connections,
            certificate=certificate,
        )

    def stop(self) -> None:
        """Ask ``run`` to shut down and return."""
        self._stop.set()

    async def run(self, on_ready: Callable[[Addresses], None] | None = None) -> None:
        """Serve until ``stop``.

        Args:
            on_ready: called once when everything listens.

        Raises:
            StoreError: the store can't be opened.
        """
        if time.time() < _CLOCK_IS_SET_S:
            _log.warning(
                "clock_not_set",
                detail="names and numbers come from the clock: set it, or they repeat at restarts",
            )
        try:
            await self._store.open()
            await self.hub.recover()
            async with asyncio.TaskGroup() as group:
                hub = group.create_task(self.hub.run(), name="hub")
                for server, sock in self._servers:
                    group.create_task(server.serve(sockets=[sock]), name="http")
                await self._ingest.start(self._rtmp_socket)
                self._admin.phase = "ready"
                _log.info(
                    "ready",
                    version=hlsorigin.__version__,
                    rtmp=self.addresses.rtmp,
                    http=self.addresses.http,
                    admin=self.addresses.admin,
                )
                if on_ready is not None:
                    on_ready(self.addresses)
                await self._stop.wait()
                await self._drain()
                hub.cancel()
        finally:
            self._rtmp_socket.close()
            for _, sock in self._servers:
                sock.close()
            await self._close_store()
            _log.info("stopped")

    async def _close_store(self) -> None:
        try:
            async with asyncio.timeout(_SETTLE_S):
                await self._store.close()
        except TimeoutError:
            _log.error("store_error", detail=f"not closed within {_SETTLE_S:g} s; left as it is")

    async def _drain(self) -> None:
        """End publishes, store their open segments, then let the HTTP servers go."""
        self._admin.phase = "draining"
        self._ingest.stop_accepting()
        self.hub.end_all("the server is shutting down")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SETTLE_S):
                await self.hub.settle()
        self.hub.release_waiters()
        await self._ingest.close()
        for server, _ in self._servers:
            server.should_exit = True

    def _policy_for(self, app: str) -> AppPolicy:
        settings = self._settings.for_app(app)
        return AppPolicy(
            stream=_stream_settings(settings.hls, settings.publish),
            takeover=settings.publish.on_duplicate == "takeover",
        )


async def run(settings: Settings, on_ready: Callable[[Addresses], None] | None = None) -> None:
    """Run a server until SIGTERM or SIGINT; a second signal ends it at once.

    Raises:
        OSError: an address can't be bound.
        SettingsError, StoreError: see ``Origin``.
    """
    origin = Origin(settings)
    stop_on_signals(origin)
    await origin.run(on_ready)


def stop_on_signals(origin: Origin) -> None:
    """Have SIGTERM and SIGINT stop an origin; a second of either ends the process at once."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def on_signal(number: int) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)
        _log.info("signal", name=signal.Signals(number).name)
        origin.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)


def _rtmp_options(settings: Settings) -> RtmpOptions:
    rtmp = settings.rtmp
    return RtmpOptions(
        max_connections=rtmp.max_connections,
        handshake_timeout_s=rtmp.handshake_timeout,
        limits=SessionLimits(
            max_message_bytes=rtmp.max_message_bytes,
            max_buffer_bytes=rtmp.max_buffer_bytes,
            max_chunk_bytes=rtmp.max_chunk_bytes,
        ),
        chunk_bytes=rtmp.chunk_bytes,
        window_bytes=rtmp.window_bytes,
    )


def _stream_settings(hls: HlsSettings, publish: PublishSettings) -> StreamSettings:
    return StreamSettings(
        policy=SegmentPolicy(
            segment_duration_90k=round(hls.segment_duration * TIMESCALE),
            max_segment_duration_90k=round(hls.max_segment_duration * TIMESCALE),
            max_segment_bytes=hls.max_segment_bytes,
            track_wait_90k=round(hls.track_wait * TIMESCALE),
            part_duration_90k=round(hls.part_duration * TIMESCALE) if hls.low_latency else 0,
        ),
        playlist_segments=hls.playlist_segments,
        reconnect_grace_s=publish.reconnect_grace,
        idle_timeout_s=publish.idle_timeout,
        keep_ended_s=publish.keep_ended,
        container=hls.container,
        track_layout=hls.track_layout,
        variant_suffixes=hls.variant_suffixes,
    )
