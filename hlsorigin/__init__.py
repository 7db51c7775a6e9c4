"""hlsorigin: a self-hosted live origin. Encoders push RTMP; players and CDNs pull HLS.

The folders are the nouns of the field, in the order the bytes travel::

    wire  codecs  media | rtmp  flv  mpegts | hls      pure: no await, clock, socket, file, logging
    store auth  live  ingest  web                      the world: asyncio, files, HTTP

``origin.py`` puts the parts together; ``cli.py`` is the command line. Imports run down only; the
allowed table is checked by ``tests/test_architecture.py``.
"""

from __future__ import annotations

__version__ = "0.1.0"
