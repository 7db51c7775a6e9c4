"""The neutral currency between ingest and packaging: ``Track`` and ``Sample``.

No protocol or container type crosses this line. An ingest turns what it receives into tracks and
samples; a muxer turns samples into bytes. Times are integers in 90 kHz ticks (``TIMESCALE``).
"""
