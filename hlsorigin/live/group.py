"""Streams that are qualities of one content, by their names: ``cam_1080``, ``cam_720``.

Each stays a stream of its own; a group adds an entry that lists all of them as variants, and what
makes them fit together (``hls.ladder``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from hlsorigin.hls import naming
from hlsorigin.hls.ladder import Ladder
from hlsorigin.hls.playlist import RenditionReport
from hlsorigin.hls.variant import Listed, describe_entry
from hlsorigin.live.clock import Clock
from hlsorigin.live.numbering import Numbering
from hlsorigin.live.rendition import Rendition
from hlsorigin.live.version import PlaylistVersion
from hlsorigin.media.track import TrackInfo


class GroupMember(Protocol):
    """What a group sees of ``live.stream.LiveStream``."""

    @property
    def name(self) -> str:
        """``app/stream``."""

    @property
    def has_ended(self) -> bool:
        """EXT-X-ENDLIST was written."""

    @property
    def main(self) -> Rendition:
        """The main rendition."""

    @property
    def renditions(self) -> Sequence[Rendition]:
        """What the latest publish feeds, the main one first."""

    @property
    def track_infos(self) -> Mapping[int, TrackInfo]:
        """What the encoder says about its tracks."""

    @property
    def target_duration_s(self) -> int | None:
        """TARGETDURATION, once it is settled."""


class LiveGroup:
    """The streams of one group.

    Args:
        name: ``app/base``: what the names of the members have in common.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._members: dict[int, GroupMember] = {}  # by rank
        self._epoch = Numbering.from_wallclock(clock.wallclock_s()).epoch
        self._version = 0
        #: What the publishes share.
        self.ladder = Ladder()
        #: The multivariant playlist of all members; None while none of them has media.
        self.entry: PlaylistVersion | None = None
        #: The same for ``/{app}/{base}.m3u8``.
        self.entry_alias: PlaylistVersion | None = None

    @property
    def target_duration_s(self) -> int | None:
        """TARGETDURATION of the first variant listed."""
        listed = self._listed()
        return listed[0].target_duration_s if listed else None

    # ---- members ---------------------------------------------------------------------------

    @property
    def members(self) -> Sequence[GroupMember]:
        """The members, best first."""
        return [self._members[rank] for rank in sorted(self._members)]

    def join(self, rank: int, member: GroupMember) -> None:
        """Take a stream in, or its successor of the same name.

        Args:
            rank: the place of its suffix in the settings.
        """
        self._members[rank] = member

    def leave(self, member: GroupMember) -> None:
        """Let a stream go, unless it has a successor."""
        for rank, each in self._members.items():
            if each is member:
                del self._members[rank]
                break
        self.refresh()

    def numbering(self, name: str, fresh: Numbering) -> Numbering:
        """Give the numbers of a stream that joins: those at which the others are."""
        others = [each for each in self.members if each.name != name]
        if not others:
            return fresh
        return Numbering(fresh.epoch, others[0].main.window.next_msn, self.ladder.breaks)

    # ---- playlists -------------------------------------------------------------------------

    def reports(self, member: GroupMember) -> list[RenditionReport]:
        """Give the reports that a member's playlists list of the other members (rule 108).

        Only of what players have seen: a window runs ahead of its playlist while that is stored.
        """
        reports = []
        for other, rendition in self._renditions():
            if other is not member and rendition.version is not None:
                folder = other.name.partition("/")[2]
                report = rendition.shown_report(f"../{folder}/")
                if report is not None:
                    reports.append(report)
        return reports

    def refresh(self) -> None:
        """Render the entry again: a member has a new segment, or leaves."""
        renditions = self._renditions()
        if not renditions:
            self.entry = self.entry_alias = None
            return
        listed = [
            Listed(
                f"{member.name.partition('/')[2]}/{each.playlist_name}",
                each.is_audio,
                each.window.segments,
                each.meter,
                each.frame_rate,
            )
            for member, each in renditions
        ]
        playlist = describe_entry(listed, renditions[0][0].track_infos)
        text = playlist.render("../")
        if self.entry is not None and self.entry.body == text.encode():
            return
        self._version += 1
        tag = f"{self._epoch}-{self._version}"
        modified = int(self._clock.wallclock_s())
        self.entry = PlaylistVersion(text, f"{tag}-ge", modified)
        self.entry_alias = PlaylistVersion(playlist.render(), f"{tag}-ga", modified)

    def _listed(self) -> list[GroupMember]:
        """Give the members to list: those that have media, and of these those that go on."""
        shown = [each for each in self.members if each.main.version is not None]
        return [each for each in shown if not each.has_ended] or shown

    def _renditions(self) -> list[tuple[GroupMember, Rendition]]:
        """Give what the entry lists: all videos, and the audio to choose of the first member."""
        listed = self._listed()
        return [
            (member, each)
            for member in listed
            for each in member.renditions
            if each.version is not None and (member is listed[0] or not each.is_audio)
        ]


class LiveGroups:
    """All groups of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: dict[str, LiveGroup] = {}

    def get(self, name: str) -> LiveGroup | None:
        """Give a group by ``app/base``."""
        return self._groups.get(name)

    def of(self, stream_name: str, suffixes: Sequence[str]) -> tuple[LiveGroup, int] | None:
        """Give the group that a stream belongs to by its name, and its rank there."""
        place = place_of(stream_name, suffixes)
        if place is None:
            return None
        name, rank = place
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = LiveGroup(name, self._clock)
        return group, rank

    def leave(self, group: LiveGroup, member: GroupMember) -> None:
        """Let a stream go; a group without any is gone."""
        group.leave(member)
        if not group.members:
            self._groups.pop(group.name, None)


def place_of(stream_name: str, suffixes: Sequence[str]) -> tuple[str, int] | None:
    """Give the group's name and the rank of the suffix; the longest that fits counts.

    None when there is none, or what stands in front of it is no stream name.
    """
    app, _, stream = stream_name.partition("/")
    fitting = [each for each in suffixes if stream.endswith(each)]
    if not fitting:
        return None
    suffix = max(fitting, key=len)
    base = stream.removesuffix(suffix)
    if naming.why_name_is_invalid(app, base) is not None:
        return None
    return f"{app}/{base}", suffixes.index(suffix)
