"""Many players that wait for one and the same part, in a process of their own.

    python -m bench.crowd HOST PORT FOLDER PLAYERS KIND ROUNDS SERVER_PID

Prints a JSON object a round. KIND is plain, gzip (blocking playlist reload) or part (requests for
the hinted part). One epoll loop over bare sockets: the client must cost less than the server.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.watch import Edge, read_edge

_TIMEOUT_S: Final = 12.0
_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_HINT: Final = re.compile(r'#EXT-X-PRELOAD-HINT:.*URI="([^"]+)"')
_PARTS_PER_SEGMENT: Final = 4
#: So many parts ahead, that all requests are there before the part is.
_AHEAD: Final = 2
_AHEAD_OF_CROWDS: Final = 5
_CROWD: Final = 2000


class Player:
    """One keep-alive connection."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.answered_ns = 0

    def receive(self) -> bool:
        """Read what is there; say whether the answer is complete."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise SystemExit("bench: the server hung up")
        self.received += data
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return False
        length = _LENGTH.search(self.received, 0, head_end)
        assert length is not None
        return len(self.received) >= head_end + 4 + int(length[1])

    @property
    def answer(self) -> tuple[bytes, bytes]:
        """Head and body of what was received."""
        head, _, body = bytes(self.received).partition(b"\r\n\r\n")
        return head, body

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self.received.clear()
        self.socket.sendall(request)


@dataclass(frozen=True, slots=True)
class Wish:
    """What everybody asks for."""

    path: str
    #: Of the hinted part.
    is_part: bool


class Crowd:
    """All players of one measurement."""

    def __init__(self, address: tuple[str, int], folder: str, players: int, kind: str) -> None:
        self._folder = folder
        self._kind = kind
        self._idle_share = 0.0
        self._scout = Player(address)
        self._players = [Player(address) for _ in range(players)]
        self._ahead = _AHEAD if players < _CROWD else _AHEAD_OF_CROWDS
        self._epoll = select.epoll()
        self._by_number = {each.socket.fileno(): each for each in self._players}
        for each in self._players:
            each.socket.setblocking(False)
            self._epoll.register(each.socket.fileno(), select.EPOLLIN)

    def round(self, server_pid: int) -> dict[str, Any]:
        """Let everybody ask for the same and wait for all answers."""
        if not self._idle_share:
            self._idle_share = self._measure_idle(server_pid)
        wish = self._wish()
        encoding = "Accept-Encoding: gzip\r\n" if self._kind == "gzip" else ""
        request = f"GET {wish.path} HTTP/1.1\r\nHost: bench\r\n{encoding}\r\n".encode()
        before_ns = _cpu_ns(server_pid)
        started_ns = time.monotonic_ns()
        for each in self._players:
            each.ask(request)
        sent_ns = time.monotonic_ns()
        # What the server needs to read and hold them all, it needs before the first answer.
        asked_cpu_ns: float = self._settle(server_pid) - before_ns
        asked_cpu_ns -= self._idle_share * (time.monotonic_ns() - started_ns)
        early = bool(self._epoll.poll(0))
        held_ns, waiting_ns = _cpu_ns(server_pid), time.monotonic_ns()
        self._collect()
        answered_cpu_ns: float = self._settle(server_pid) - held_ns
        answered_cpu_ns -= self._idle_share * (time.monotonic_ns() - waiting_ns)
        heads = {each.answer[0].partition(b"\r\n")[0] for each in self._players}
        bodies = {each.answer[1] for each in self._players}
        return {
            "path": wish.path,
            "was_early": early,
            "status": sorted(head.decode() for head in heads),
            "bodies": len(bodies),
            "body_bytes": len(next(iter(bodies))),
            "sending_ms": (sent_ns - started_ns) / 1e6,
            "asked_cpu_us": asked_cpu_ns / 1e3 / len(self._players),
            "answered_cpu_us": answered_cpu_ns / 1e3 / len(self._players),
            "answered_ns": sorted(each.answered_ns for each in self._players),
        }

    def _measure_idle(self, server_pid: int) -> float:
        """Give the share of a core that the stream takes without the crowd."""
        started_ns, before_ns = time.monotonic_ns(), _cpu_ns(server_pid)
        time.sleep(2)
        return (_cpu_ns(server_pid) - before_ns) / (time.monotonic_ns() - started_ns)

    def _wish(self) -> Wish:
        edge, text = self._read()
        # Begin right behind a new part.
        query = f"?_HLS_msn={edge.next_msn}&_HLS_part={edge.open_parts}"
        edge, text = self._read(query)
        if self._kind == "part":
            hint = _HINT.search(text)
            assert hint is not None, text
            return Wish(self._folder + hint[1], is_part=True)
        index = edge.open_parts + self._ahead
        msn = edge.next_msn + index // _PARTS_PER_SEGMENT
        query = f"?_HLS_msn={msn}&_HLS_part={index % _PARTS_PER_SEGMENT}"
        return Wish(f"{self._folder}v0.m3u8{query}", is_part=False)

    def _read(self, query: str = "") -> tuple[Edge, str]:
        path = f"{self._folder}v0.m3u8{query}"
        self._scout.ask(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        while not self._scout.receive():
            pass
        text = self._scout.answer[1].decode()
        return read_edge(text), text

    def _settle(self, server_pid: int) -> int:
        """Wait until the server is at rest; give its CPU time then, nanoseconds."""
        used = _cpu_ns(server_pid)
        while True:
            time.sleep(0.02)
            now = _cpu_ns(server_pid)
            if now - used < 4_000_000:  # less than a fifth of that time
                return now
            used = now

    def _collect(self) -> None:
        missing = len(self._players)
        deadline_s = time.monotonic() + _TIMEOUT_S
        clock = time.monotonic_ns
        while missing:
            events = self._epoll.poll(0.1)
            if time.monotonic() > deadline_s:
                raise SystemExit(f"bench: {missing} players were not answered")
            for number, _ in events:
                player = self._by_number[number]
                player.answered_ns = clock()
                missing -= player.receive()


def _cpu_ns(pid: int) -> int:
    """Give the CPU time of a process's main thread (proc(5): schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def main() -> None:
    """Do some rounds; print each."""
    host, port, folder, players, kind, rounds, server_pid = sys.argv[1:]
    crowd = Crowd((host, int(port)), folder, int(players), kind)
    for _ in range(int(rounds)):
        print(json.dumps(crowd.round(int(server_pid))), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
