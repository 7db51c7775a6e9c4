"""Headers of every kind of answer: Cache-Control, CORS (reference table: one place, one row)."""

from __future__ import annotations

from typing import Final, TypeAlias

Headers: TypeAlias = list[tuple[bytes, bytes]]

#: On every answer, errors too, whether or not the request has an Origin: a CDN would otherwise
#: keep a copy without it. No Vary: Origin, no credentials. hls.js reads Age and Date.
CORS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"Content-Length, Content-Range, Date, Age, ETag, X-Request-Id",
    ),
    (b"timing-allow-origin", b"*"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)

#: Answer to a preflight.
PREFLIGHT: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Range, Accept, Accept-Encoding, Authorization, Cache-Control, Content-Type, "
        b"If-Modified-Since, If-None-Match, If-Range, X-Requested-With",
    ),
    (b"access-control-max-age", b"86400"),
    (b"cache-control", b"public, max-age=86400"),
)

#: A name is never reused, so a segment may be kept for ever (invariant 3).
SEGMENT: Final = b"public, max-age=3600, immutable"
#: Not there yet, or not known: a longer life would hide a stream that is just starting.
NOT_YET: Final = b"public, max-age=1"
#: Left the window: it will not come back.
GONE: Final = b"public, max-age=60"
#: A playlist that changes with every part; answers to directives live longer.
LOW_LATENCY_PLAYLIST: Final = b"public, max-age=1"
#: nginx in front sends an answer on that was held as soon as it comes.
UNBUFFERED: Final = (b"x-accel-buffering", b"no")
#: Errors and answers for one viewer.
NO_STORE: Final = b"no-store"


def playlist(target_duration_s: int) -> bytes:
    """Give the Cache-Control of a playlist: half a target duration, at least a second."""
    return b"public, max-age=%d" % max(1, target_duration_s // 2)


def blocked_playlist(target_duration_s: int) -> bytes:
    """Give the Cache-Control of an answer to ``_HLS_msn`` (8216bis B.1: six target durations)."""
    return b"public, max-age=%d" % (6 * target_duration_s)
