"""``python -m hlsorigin``."""

from __future__ import annotations

import sys

from hlsorigin.cli import main

if __name__ == "__main__":
    sys.exit(main())
