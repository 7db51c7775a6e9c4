"""Fragmented MP4 (ISO/IEC 14496-12, -15; CMAF, ISO/IEC 23000-19): samples in, fragments out.

The bytes, from the outside in::

    init section: ftyp moov[ mvhd  trak[ tkhd mdia[ mdhd hdlr minf[ ... stsd ... ] ] ]...  mvex ]
    segment:      styp  prft emsg... moof[ mfhd  traf[ tfhd tfdt trun ]... ]  mdat   moof mdat ...

``box`` nests boxes, ``sample_entry`` turns a codec configuration into its box, ``init_section``
joins those, ``clock`` turns the 90 kHz times of samples into the whole ticks of a track,
``fragment`` writes moof and mdat, ``reference_time`` and ``event_message`` what goes before them,
``muxer.Fmp4Muxer`` joins all.

Laws:

1. A fragment's tfdt is the tfdt before it plus the durations written there, in ticks (spec.md rule
   71), except where time itself has a hole; it never goes back within a publish. An ``Fmp4Muxer``
   therefore lives as long as its live stream.
2. tfdt is the DTS, so composition offsets are not negative, and there are no edit lists: PTS is
   tfdt plus durations plus offset for every reader, and equals that of the TS rendition (rule 75).
   With negative offsets and no edit list, ffmpeg 5.1 and GStreamer 1.22 move all PTS of the track
   by the largest one, and so the picture against the sound.
3. Everything a reader needs stands in the fragment itself: it depends on no default of ``trex``.
4. No Python object is made per box of a sample; a run's table is written by one ``struct.pack``.

``hls`` never imports this package; ``origin`` hands an ``Fmp4Muxer`` to it. Start reading at
``Fmp4Muxer.mux``.
"""
