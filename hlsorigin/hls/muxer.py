"""What a container must offer to the packager. ``hls`` knows no container; origin hands it one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hlsorigin.media.sample import Sample
from hlsorigin.media.timed_metadata import TimedMetadata
from hlsorigin.media.track import Track


class Muxer(Protocol):
    """Samples in, bytes of segments out.

    One muxer lives as long as its live stream, over reconnects, so that what a container counts
    (continuity counters, versions, fragment numbers) goes on.
    """

    @property
    def file_extension(self) -> str:
        """Extension of its segments' names, without the dot."""

    @property
    def declares_metadata(self) -> bool:
        """Timed metadata is a stream of its own that segments announce, as in MPEG-TS."""

    def check_track(self, track: Track) -> None:
        """Refuse a track that the container can't carry.

        Raises:
            Unsupported: with a sentence that names the codec and says what to do.
        """

    def set_tracks(self, tracks: Sequence[Track], *, has_metadata: bool = False) -> None:
        """Say which tracks the following segments carry; each passed ``check_track``.

        The next ``mux`` starts a segment.

        Args:
            has_metadata: timed metadata may come as well.
        """

    def init_section(self) -> bytes | None:
        """Give the init section (EXT-X-MAP) of the tracks set; None: the container has none."""

    def mux(
        self,
        samples: Sequence[Sample],
        *,
        starts_segment: bool,
        metadata: Sequence[TimedMetadata] = (),
        date_offset_90k: int | None = None,
    ) -> bytes:
        """Give the bytes of the samples.

        The bytes of a segment are those of its parts, one behind the other.

        Args:
            samples: in order of ``dts`` over all tracks, with their durations set; empty only
                where a part of low latency has to bridge a hole.
            starts_segment: True when the bytes open a segment; players must be able to start here.
            metadata: what is to be carried along; left out where ``has_metadata`` was not said
                and the container needs it.
            date_offset_90k: wall clock (90 kHz ticks since 1970) minus time on the timeline.
        """
