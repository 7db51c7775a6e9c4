"""MPEG-2 transport streams (ISO/IEC 13818-1): samples in, TS segments out, and a reader for tools.

The bytes, from the outside in::

    segment: PAT  PMT  PES of video | PCR | PES of audio | PES of video ...     188-byte packets
    PES:     header with PTS/DTS, then one H.264 access unit or a few audio frames

``packet`` cuts a PES into packets, ``psi`` holds the two tables, ``pes`` turns samples into PES,
``pcr`` says when the clock reference is due, ``muxer.TsMuxer`` joins them. ``reader.TsReader`` goes
the other way, for ``inspect``; the tests read our output with a reader of their own.

Laws:

1. Continuity counters and PCR run on over segments (RFC 8216 section 3), so a ``TsMuxer`` lives as
   long as its live stream.
2. PCR never exceeds a DTS that follows, and two PCR are never more than 100 ms apart
   (ISO/IEC 13818-1 2.7.2), also at one frame in ten seconds and without video.
3. No Python object is made per packet: the packets between the first and the last of a PES are
   written by one ``%`` per 64 packets (``packet``).

``hls`` never imports this package; ``origin`` hands a ``TsMuxer`` to it. Start reading at
``TsMuxer.mux``.
"""
