"""HLS as pure logic (RFC 8216, draft-pantos-hls-rfc8216bis).

Samples come in, events go out: ``timeline`` puts their times on one continuous clock,
``interleaver`` brings them in order, ``segmenter`` decides where segments begin and end,
``packager`` joins the three and dates the segments, ``window`` slides over them, ``playlist``
renders. The container is behind ``muxer.Muxer``; who waits, stores and serves is above, in
``live`` and ``web``.

Start reading at ``packager.Packager.push``.
"""
