"""An encoder of our own: sends an FLV file over RTMP in real time, as one stream or as many.

Used by ``hlsorigin push``, by the demo, and as the load generator of the benchmarks. ``clip`` reads
the file and makes it loop, ``publish`` sends it, ``display`` shows how it goes.
"""

from __future__ import annotations

from hlsorigin.push.clip import load_clip, parse_push_url
from hlsorigin.push.publish import PushPlan, PushProgress, PushReport, push

__all__ = ["PushPlan", "PushProgress", "PushReport", "load_clip", "parse_push_url", "push"]
