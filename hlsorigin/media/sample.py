"""One access unit of one track."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Sample:
    """One video access unit or one audio frame.

    Not frozen: one is made per frame, and a frozen dataclass costs four times as much to make;
    ``hls.timeline`` rewrites the times in place, ``hls.segmenter`` sets the duration.
    """

    #: ``Track.track_id`` of the track it belongs to.
    track_id: int
    #: Decode time, 90 kHz ticks. From a demuxer: modulo the wrap of its protocol.
    #: After ``hls.timeline``: continuous and strictly increasing per track.
    dts: int
    #: Presentation time, 90 kHz ticks; ``pts - dts`` is the signed composition offset.
    pts: int
    #: Ticks until the next sample of the track; 0 while unknown.
    duration: int
    #: Decoding may start here. For video: the access unit has an IDR picture, or an I picture
    #: that a recovery point marks (open GOP).
    is_sync: bool
    #: H.264: NAL units, each behind a 4-byte length, without AUD, SPS and PPS (these live in the
    #: track's config). AAC: one raw_data_block without ADTS. MP3: one frame with its header.
    data: bytes
