"""FLV files (FLV 10.1 E.2, E.3): header and tags out of bytes. Opens nothing itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from hlsorigin.errors import FlvError, Unsupported
from hlsorigin.flv.tag import FlvTag

_SIGNATURE: Final = b"FLV"
_HEADER_BYTES: Final = 9
_TAG_HEADER_BYTES: Final = 11
_PREVIOUS_TAG_SIZE_BYTES: Final = 4
#: DataOffset is 9 in version 1; the bound keeps a damaged one from swallowing the file.
_MAX_HEADER_BYTES: Final = 65_536
_FLAG_AUDIO: Final = 0x04
_FLAG_VIDEO: Final = 0x01
_TAG_FILTER: Final = 0x20
_TAG_TYPE: Final = 0x1F


class FlvFile:
    """An FLV file being read. Made by ``read_flv``."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = bytearray()
        self._position = 0  # of the buffer in the file
        #: Bytes of an incomplete tag at the end; known when ``tags`` has ended.
        self.truncated_bytes = 0
        header = self._take(_HEADER_BYTES)
        if header[:3] != _SIGNATURE:
            raise FlvError("not an FLV file: it doesn't begin with 'FLV'")
        if len(header) < _HEADER_BYTES:
            raise FlvError("the FLV header is cut")
        self.version = header[3]
        # What the header announces; wrong in files that were written while streaming.
        self.has_audio = header[4] & _FLAG_AUDIO != 0
        self.has_video = header[4] & _FLAG_VIDEO != 0
        header_bytes = int.from_bytes(header[5:9], "big")
        if not _HEADER_BYTES <= header_bytes <= _MAX_HEADER_BYTES:
            raise FlvError(f"FLV header of {header_bytes} bytes")
        self._take(header_bytes - _HEADER_BYTES + _PREVIOUS_TAG_SIZE_BYTES)
        #: The tags in the order of the file; can be gone through once. Raises ``Unsupported`` at
        #: an encrypted tag, and what the source raises.
        self.tags: Iterator[FlvTag] = self._read_tags()

    def _read_tags(self) -> Iterator[FlvTag]:
        while True:
            header = self._take(_TAG_HEADER_BYTES)
            if len(header) < _TAG_HEADER_BYTES:
                self.truncated_bytes = len(header)
                return
            if header[0] & _TAG_FILTER:
                raise Unsupported(f"encrypted FLV tag before byte {self._position}")
            payload_bytes = int.from_bytes(header[1:4], "big")
            payload = self._take(payload_bytes)
            if len(payload) < payload_bytes:
                self.truncated_bytes = len(header) + len(payload)
                return
            # TimestampExtended holds the upper 8 bits, behind the lower 24 (E.4.1).
            timestamp_ms = header[7] << 24 | int.from_bytes(header[4:7], "big")
            yield FlvTag(header[0] & _TAG_TYPE, timestamp_ms, payload)
            # Not compared with what it should be: recorders often write it wrong or not at all at
            # the end.
            self._take(_PREVIOUS_TAG_SIZE_BYTES)

    def _take(self, count: int) -> bytes:
        """Give ``count`` bytes, fewer at the end of the file."""
        while len(self._buffer) < count:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._buffer += piece
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._position += len(taken)
        return taken


def read_flv(source: bytes | Iterable[bytes]) -> FlvFile:
    """Begin to read an FLV file.

    Args:
        source: all of it, or its pieces in order, for example
            ``iter(partial(file.read, 65_536), b"")``; no more is read than the next tag needs.
    Raises:
        FlvError: it doesn't begin with an FLV header.
    """
    return FlvFile(iter((source,)) if isinstance(source, bytes) else iter(source))
