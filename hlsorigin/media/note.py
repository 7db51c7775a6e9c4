"""What pure code noticed and a person may want to know.

Pure code can't log. It returns notes among its results; the shell that drives it logs them with
the context it has (peer, stream) and keeps them for the API.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """One thing worth a log line and a place on the API."""

    #: Stable snake_case word, the log's event name: ``unsupported_codec``, ``timestamp_jump``, ...
    code: str
    #: One sentence: what is wrong, where, and what to do.
    message: str
