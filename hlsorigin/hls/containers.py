"""Which container a stream is written in, and its muxers: one per rendition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hlsorigin.errors import Unsupported
from hlsorigin.hls.muxer import Muxer
from hlsorigin.media.track import Track

#: The setting that leaves the choice to what the encoder sends.
AUTO: Final = "auto"


class Containers:
    """The muxers of one stream, all of one container, over all its publishes.

    A playlist can't go back from fragmented MP4 to MPEG-TS (an EXT-X-MAP has no end), so what is
    chosen stays.

    Args:
        factories: makes a muxer, by container; with ``AUTO``, the first that carries every track.
        asked: ``hls.container``.
    """

    def __init__(self, factories: Mapping[str, Callable[[], Muxer]], asked: str) -> None:
        self._factories = factories
        self._muxers: dict[str, Muxer] = {}  # by rendition
        #: The container; None as long as it depends on the tracks.
        self.name = None if asked == AUTO else asked

    def settle(self, tracks: Sequence[Track]) -> None:
        """Choose the container now that the tracks are known; later calls change nothing."""
        if self.name is None:
            refusals = {name: _refused(make(), tracks) for name, make in self._factories.items()}
            self.name = min(refusals, key=refusals.__getitem__)

    def settle_by_extension(self, extension: str) -> None:
        """Choose the container whose segments have this extension: an earlier process did."""
        for name, make in self._factories.items():
            if make().file_extension == extension:
                self.name = name

    def check_track(self, track: Track) -> None:
        """Refuse a track that the container can't carry.

        Raises:
            Unsupported: with a sentence that names the codec and says what to do.
        """
        if self.name is None:
            return  # ``settle`` comes first, then the track is asked for again
        muxer = next(iter(self._muxers.values()), None) or self._factories[self.name]()
        try:
            muxer.check_track(track)
        except Unsupported as error:
            others = [
                name for name, make in self._factories.items() if not _refused(make(), [track])
            ]
            advice = f'; hls.container = "{others[0]}" or "auto" carries it' if others else ""
            raise Unsupported(f"{error}{advice}") from error

    def muxer(self, rendition: str) -> Muxer:
        """Give the muxer of a rendition; it is the same at every publish."""
        assert self.name is not None
        if rendition not in self._muxers:
            self._muxers[rendition] = self._factories[self.name]()
        return self._muxers[rendition]

    @property
    def extension(self) -> str:
        """Extension of segments; empty as long as the container is not settled."""
        if self.name is None:
            return ""
        return self.muxer(next(iter(self._muxers), "v0")).file_extension


def _refused(muxer: Muxer, tracks: Sequence[Track]) -> int:
    count = 0
    for track in tracks:
        try:
            muxer.check_track(track)
        except Unsupported:
            count += 1
    return count
