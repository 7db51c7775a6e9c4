"""Codec configurations: what a decoder must know before the first frame.

One file per codec. Each has a frozen config type (``AvcConfig``, ``AacConfig``, ...) that is made
from the bytes an encoder sends, tells what playlists and muxers ask, and compares equal when a
decoder would not see a difference. All video configs have width, height, frame_rate, codec_string,
video_range and serialize_record(); all audio configs codec_string, sample_rate, channels,
hls_channels, clock_rate_hz, samples_per_frame, frame_samples(data), and, but for AAC and MP3 whose
``esds`` is a matter of MP4, serialize_record(): the payload of the box of their sample entry.

* ``nal`` splits and joins access units (ISO/IEC 14496-15 lengths, ITU-T H.264 Annex B);
* ``h264``, ``h264_sps``, ``h265``, ``h265_sps`` read configuration records and parameter sets;
* ``av1``, ``av1_sequence`` walk OBUs and read the sequence header; ``vp9`` reads the record and
  keyframe headers; ``colour`` has what all video codecs say by ITU-T H.273;
* ``aac`` reads AudioSpecificConfig (ISO/IEC 14496-3 1.6.2.1) and writes ADTS headers;
* ``mp3`` reads MPEG audio frame headers (ISO/IEC 11172-3, 13818-3);
* ``opus``, ``flac``, ``ac3`` read headers and frames (RFC 7845, RFC 9639, ETSI TS 102 366).

Rules: input comes from peers, so everything raises ``CodecError``, ``Truncated`` or
``Unsupported`` and nothing else; no value read from the wire sizes an allocation or a loop
unchecked. A damaged optional part (VUI, SBR extension) never loses what came before it.
Imports ``errors`` and ``wire`` only. A new codec is one file here plus its config in
``media.track``. Start reading with ``h264.AvcConfig``.
"""
