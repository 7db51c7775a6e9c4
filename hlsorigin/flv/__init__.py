"""FLV: the payloads of RTMP audio and video messages, and FLV files.

A ``Demuxer`` lives as long as a publish. It is given message payloads and gives ``Track`` (when
what a decoder must know changes), ``Sample`` (one access unit or audio frame) and ``Note`` (what
a person may want to know). It raises nothing on peer data: a broken frame is skipped, counted and
noted, the publish goes on.

* ``tag`` reads the headers and names every codec the format knows;
* ``demuxer`` sorts messages to ``video`` (H.264) and ``audio`` (AAC, MP3);
* ``drops`` counts what is thrown away and keeps notes rare;
* ``file`` reads tags out of FLV files, for ``push`` and ``inspect``.

Spec: Adobe FLV 10.1 annex E. Times: a demuxer gives ``timestamp_ms * 90``, not unwrapped and not
repaired; that is ``hls.timeline``'s work. Video samples keep DTS and the signed composition offset.

Imports ``errors``, ``wire``, ``codecs`` and ``media``; knows neither RTMP nor HLS. Enhanced RTMP
FourCC headers are recognised and named; a codec behind one is added in ``tag.parse_video_header``
and ``tag.parse_audio_header``, the rest of the path is the same. Start reading with ``demuxer``.
"""
