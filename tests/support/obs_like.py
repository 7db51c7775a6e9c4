"""Make fixtures/rtmp/obs_like.bin: ``python -m tests.support.obs_like CAPTURE FILE``.

What OBS Studio sends, from what is known of its librtmp: simple handshake; Set Chunk Size 4096
before connect; transaction ids counted by call; releaseStream, FCPublish and publish with the key
and its query; onMetaData as a large ECMA array in @setDataFrame; audio and video on chunk stream 4,
fmt 0 at timestamp 0 and fmt 1, 2 or 3 after it; FCUnpublish and deleteStream at the end. The media
is that of another capture.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from hlsorigin.rtmp.amf0 import Amf0Value, EcmaArray, serialize_values
from hlsorigin.rtmp.chunk import ChunkReader
from hlsorigin.rtmp.limits import SessionLimits
from tests.support.rtmp_wire import header

KEY = "room?key=abc&expires=1900000000"
CHUNK_BYTES = 4096
HANDSHAKE_BYTES = 1 + 2 * 1536


class _Librtmp:
    """Chunks as librtmp's RTMP_SendPacket makes them."""

    def __init__(self) -> None:
        self.out = bytearray()
        #: Per chunk stream: time, length, type of the packet before.
        self._previous: dict[int, tuple[int, int, int]] = {}

    def send(
        self, chunk_stream_id: int, type_id: int, stream: int, time_ms: int, body: bytes, fmt: int
    ) -> None:
        before_ms, length, before_type = self._previous.get(chunk_stream_id, (0, -1, -1))
        if fmt == 1 and (length, before_type) == (len(body), type_id):
            fmt = 2
        field_ms = time_ms - before_ms if fmt else time_ms
        self.out += header(fmt, chunk_stream_id, field_ms, len(body), type_id, stream)
        for start in range(0, len(body), CHUNK_BYTES):
            self.out += header(3, chunk_stream_id) if start else b""
            self.out += body[start : start + CHUNK_BYTES]
        self._previous[chunk_stream_id] = (time_ms, len(body), type_id)

    def call(self, fmt: int, *values: Amf0Value) -> None:
        self.send(3, 20, 0, 0, serialize_values(*values), fmt)


def build(capture: bytes) -> bytes:
    """Give the client's bytes; the media comes from a capture of another publisher."""
    sender = _Librtmp()
    sender.out += b"\x03" + struct.pack(">II", 123_456, 0) + bytes(range(191)) * 8
    sender.out += bytes(8) + bytes(1528)
    sender.send(2, 1, 0, 0, struct.pack(">I", CHUNK_BYTES), 0)
    connect: dict[str, Amf0Value] = {
        "app": "live",
        "type": "nonprivate",
        "flashVer": "FMLE/3.0 (compatible; FMSc/1.0)",
        "swfUrl": "rtmp://localhost/live",
        "tcUrl": "rtmp://localhost/live",
    }
    sender.call(0, "connect", 1.0, connect)
    sender.call(1, "releaseStream", 2.0, None, KEY)
    sender.call(1, "FCPublish", 3.0, None, KEY)
    sender.call(1, "createStream", 4.0, None)
    sender.send(4, 20, 1, 0, serialize_values("publish", 5.0, None, KEY, "live"), 0)
    sender.send(4, 18, 1, 0, serialize_values("@setDataFrame", "onMetaData", _metadata()), 0)
    for message in ChunkReader(SessionLimits()).receive_data(capture[HANDSHAKE_BYTES:]):
        # Without ffmpeg's "end of sequence", whose time goes back.
        if message.type_id in (8, 9) and message.payload[:2] != b"\x17\x02":
            # Only the first packets have an absolute time: RTMP_Write asks for fmt 1 otherwise.
            fmt = 1 if message.timestamp_ms else 0
            sender.send(4, message.type_id, 1, message.timestamp_ms, message.payload, fmt)
    sender.call(1, "FCUnpublish", 6.0, None, KEY)
    sender.call(1, "deleteStream", 7.0, None, 1.0)
    return bytes(sender.out)


def _metadata() -> EcmaArray:
    numbers = {
        "duration": 0.0,
        "fileSize": 0.0,
        "width": 160.0,
        "height": 90.0,
        "videocodecid": 7.0,
        "videodatarate": 200.0,
        "framerate": 15.0,
        "audiocodecid": 10.0,
        "audiodatarate": 32.0,
        "audiosamplerate": 44100.0,
        "audiosamplesize": 16.0,
        "audiochannels": 1.0,
    }
    layouts = ("2.1", "3.1", "4.0", "4.1", "5.1", "7.1")
    return EcmaArray(
        {
            **numbers,
            "stereo": False,
            **dict.fromkeys(layouts, False),
            "encoder": "obs-output module (libobs version 30.2.0)",
        }
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(build(Path(sys.argv[1]).read_bytes()))
