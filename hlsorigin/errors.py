"""Every exception of hlsorigin, in one tree that says whose fault it is.

::

    HlsOriginError
    ├── PeerError                  the other side sent nonsense   -> log, close that peer
    │   ├── Truncated              fewer bytes than a field needs
    │   ├── RtmpError              handshake, chunk, message or command broken
    │   ├── Amf0Error              AMF0 value broken
    │   ├── FlvError               FLV tag or file broken
    │   ├── CodecError             parameter set, configuration record or frame broken
    │   ├── ContainerError         MPEG-TS or MP4 bytes broken (inspect)
    │   └── DirectiveError         ``_HLS_`` query of a playlist request broken -> 400
    ├── Unsupported                well-formed, but not done here (a codec, AMF3, ...)
    ├── LimitExceeded              a bound from the settings was hit
    ├── AccessDenied               publisher or viewer may not
    ├── StreamBusy                 the name has a publisher and the policy is "reject"
    ├── StoreError                 the store can't keep or give bytes
    │   └── StoreFull              its bound in bytes was hit
    └── SettingsError              the operator's configuration is wrong -> exit 78

Anything else that escapes is a bug of ours.
"""

from __future__ import annotations


class HlsOriginError(Exception):
    """Root of the tree."""


class PeerError(HlsOriginError):
    """The other side sent something that its protocol does not allow."""


class Truncated(PeerError):
    """A field needs more bytes than there are."""

    def __init__(self, needed: int, had: int, what: str = "field") -> None:
        super().__init__(needed, had, what)
        self.needed = needed
        self.had = had
        self.what = what

    def __str__(self) -> str:
        return f"{self.what} needs {self.needed} bytes, only {self.had} left"


class RtmpError(PeerError):
    """RTMP handshake, chunk, message or command that breaks the protocol."""


class Amf0Error(PeerError):
    """AMF0 value that can't be read."""


class FlvError(PeerError):
    """FLV tag or file that can't be read."""


class CodecError(PeerError):
    """Parameter set, configuration record or frame that can't be read."""


class ContainerError(PeerError):
    """MPEG-TS or MP4 bytes that can't be read."""


class DirectiveError(PeerError):
    """Delivery directive (``_HLS_...``) that can't be read; the message is the body of the 400."""


class Unsupported(HlsOriginError):
    """Well-formed, but not something hlsorigin does."""


class LimitExceeded(HlsOriginError):
    """A bound from the settings was hit.

    Args:
        what: the thing that grew too large, in words a person reads.
        limit: the bound.
        setting: the key that holds the bound, for example ``rtmp.max_message_bytes``; None: the
            bound is fixed.
    """

    def __init__(self, what: str, limit: float, setting: str | None) -> None:
        super().__init__(what, limit, setting)
        self.what = what
        self.limit = limit
        self.setting = setting

    def __str__(self) -> str:
        place = f" (setting {self.setting})" if self.setting else ""
        return f"{self.what} is over the limit of {self.limit:g}{place}"


class AccessDenied(HlsOriginError):
    """A publisher or viewer may not. The reason goes to the log, never on the wire."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class StreamBusy(HlsOriginError):
    """The stream has a publisher and ``publish.on_duplicate`` is ``reject``."""


class StoreError(HlsOriginError):
    """The store can't keep or give bytes."""


class StoreFull(StoreError):
    """The store's bound in bytes was hit and nothing may be dropped to make room."""

    def __init__(self, limit_bytes: int, setting: str) -> None:
        super().__init__(limit_bytes, setting)
        self.limit_bytes = limit_bytes
        self.setting = setting

    def __str__(self) -> str:
        return f"the store is full: {self.setting} = {self.limit_bytes} bytes"


class SettingsError(HlsOriginError):
    """The operator's configuration is wrong; the message names the key's path."""
