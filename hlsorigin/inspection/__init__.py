"""What is in a media file or playlist, and what is wrong with it: the ``inspect`` command.

One module per format, found by content; ``report`` is what they fill, ``display`` prints it.
"""

from __future__ import annotations

from hlsorigin.inspection.inspect import inspect_bytes, inspect_file
from hlsorigin.inspection.report import Report

__all__ = ["Report", "inspect_bytes", "inspect_file"]
