"""Codec configurations: what a decoder must know before the first frame.

One file per codec. Each has a frozen config type (``AvcConfig``, ``AacConfig``, ``Mp3Config``) that
is made from the bytes an encoder sends, tells what playlists and muxers ask (size, rate, RFC 6381
codec string), and compares equal when a decoder would not see a difference.

* ``nal`` splits and joins H.264 access units (ISO/IEC 14496-15 lengths, ITU-T H.264 Annex B);
* ``h264`` and ``h264_sps`` read the configuration record and the sequence parameter set;
* ``aac`` reads AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1) and writes ADTS headers;
* ``mp3`` reads MPEG audio frame headers (ISO/IEC 11172-3, 13818-3).

Rules: input comes from peers, so everything raises ``CodecError``, ``Truncated`` or
``Unsupported`` and nothing else; no value read from the wire sizes an allocation or a loop
unchecked. A damaged optional part (VUI, SBR extension) never loses what came before it.
Imports ``errors`` and ``wire`` only. A new codec is one file here plus its config in
``media.track``. Start reading with ``h264.AvcConfig``.
"""
