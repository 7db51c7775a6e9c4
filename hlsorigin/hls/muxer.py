"""What a container must offer to the packager. ``hls`` knows no container; origin hands it one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hlsorigin.media.sample import Sample
from hlsorigin.media.track import Track


class Muxer(Protocol):
    """Samples in, bytes of segments out.

    One muxer lives as long as its live stream, over reconnects, so that what a container counts
    (continuity counters, versions, fragment numbers) goes on.
    """

    @property
    def file_extension(self) -> str:
        """Extension of its segments' names, without the dot."""

    def check_track(self, track: Track) -> None:
        """Refuse a track that the container can't carry.

        Raises:
            Unsupported: with a sentence that names the codec and says what to do.
        """

    def set_tracks(self, tracks: Sequence[Track]) -> None:
        """Say which tracks the following segments carry; each passed ``check_track``.

        The next ``mux`` starts a segment.
        """

    def mux(self, samples: Sequence[Sample], *, starts_segment: bool) -> bytes:
        """Give the bytes of the samples.

        Args:
            samples: in order of ``dts`` over all tracks, with their durations set; never empty.
            starts_segment: True when the bytes open a segment; players must be able to start here.
        """
