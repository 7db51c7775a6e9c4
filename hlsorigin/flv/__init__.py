"""FLV: the payloads of RTMP audio and video messages, and FLV files.

A ``Demuxer`` lives as long as a publish. It is given message payloads and gives ``Track`` (when
what a decoder must know changes), ``Sample`` (one access unit or audio frame) and ``Note`` (what
a person may want to know). It raises nothing on peer data: a broken frame is skipped, counted and
noted, the publish goes on.

* ``tag`` reads the headers of old and names every codec they know;
* ``enhanced`` reads those of enhanced RTMP: FourCC, ModEx, multitrack;
* ``demuxer`` sorts what a message holds to the ``tracks`` of the publish;
* ``video`` (H.264), ``hevc``, ``av1`` and ``vp9`` make tracks and samples of video, by the rules of
  ``video_track``; ``audio`` (AAC, MP3) and ``enhanced_audio`` (Opus, FLAC, AC-3, E-AC-3) of audio;
* ``metadata`` takes hints from onMetaData;
* ``drops`` counts what is thrown away and keeps notes rare;
* ``file`` reads tags out of FLV files, for ``push`` and ``inspect``.

Spec: Adobe FLV 10.1 annex E; Enhanced RTMP v1 and v2 (veovera). Times: a demuxer gives
``timestamp_ms * 90``, not unwrapped and not repaired; that is ``hls.timeline``'s work. Video
samples keep DTS and the signed composition offset.

Imports ``errors``, ``wire``, ``codecs`` and ``media``; knows neither RTMP nor HLS. A new video
codec is a ``VideoTrack`` and a line in ``tracks``. Start reading with ``demuxer``.
"""
