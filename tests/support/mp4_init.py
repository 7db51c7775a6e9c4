"""Reads an init section strictly: rules 67, 68, 74, 77 (part of ``mp4_reader``)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.support.mp4_boxes import Box, check, check_kinds, only, read_boxes
from tests.support.mp4_codecs import (
    AUDIO_CONFIG,
    VIDEO_CONFIG,
    SampleEntry,
    read_audio_entry,
    read_video_entry,
)

UNITY_MATRIX = b"".join(
    value.to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
)
#: Brands whose definition includes default-base-is-moof and 64-bit tfdt.
FRAGMENT_BRANDS = {"iso6", "iso7", "iso8", "iso9", "isoa", "isob", "isoc", "cmfc", "cmf2"}
CMAF_BRANDS = {"cmfc", "cmf2"}
_ENABLED, _IN_MOVIE = 1, 2


@dataclass(frozen=True, slots=True)
class Trex:
    """Defaults of a track's samples (14496-12 8.8.3)."""

    duration: int
    size: int
    flags: int


@dataclass(frozen=True, slots=True)
class InitTrack:
    """One track of an init section."""

    track_id: int
    #: "vide" or "soun".
    handler: str
    timescale: int
    #: ISO 639-2, such as "und".
    language: str
    #: BCP 47 from elng, where there is one.
    extended_language: str | None
    name: str
    entry: SampleEntry
    trex: Trex
    #: What an edit list takes off the presentation times, in ticks of the timescale.
    edit_ticks: int

    @property
    def codec(self) -> str:
        """The sample entry's type: "avc1", "mp4a", ..."""
        return self.entry.codec

    @property
    def configs(self) -> dict[str, bytes]:
        """Bodies of the boxes in the sample entry, by type."""
        return self.entry.boxes

    @property
    def width(self) -> int:
        return self.entry.width

    @property
    def height(self) -> int:
        return self.entry.height

    @property
    def channel_count(self) -> int:
        return self.entry.channel_count

    @property
    def sample_rate(self) -> int:
        """Of the sample entry, in Hz."""
        return self.entry.sample_rate


@dataclass(frozen=True, slots=True)
class Init:
    """An init section."""

    major_brand: str
    #: All brands, the major one included.
    brands: frozenset[str]
    tracks: dict[int, InitTrack]

    @property
    def is_cmaf(self) -> bool:
        """It claims to be a CMAF header."""
        return bool(self.brands & CMAF_BRANDS)


def read_brands(box: Box, rule: int) -> tuple[str, frozenset[str]]:
    """Give the major brand and all brands of ftyp or styp (14496-12 4.3)."""
    fields = box.fields(rule)
    major = fields.take(4).decode("ascii")
    fields.u32()
    check(fields.left % 4 == 0, rule, f"{box.path}: brands of {fields.left} bytes")
    brands = [fields.take(4).decode("ascii") for _ in range(fields.left // 4)]
    check(len(set(brands)) == len(brands), rule, f"{box.path}: a brand twice in {brands}")
    check(bool(brands), rule, f"{box.path}: no compatible brands")
    return major, frozenset({major, *brands})


def read_init(data: bytes, *, allows_edit_list: bool = False) -> Init:
    """Read and check an init section (rules 67 and 68).

    Args:
        data: exactly one init section.
        allows_edit_list: True for what other muxers wrote; ours has none (rule 75).
    Raises:
        Mp4Error: a rule is broken; its number comes first.
    """
    boxes = read_boxes(data)
    check_kinds(boxes, "the init section", ["ftyp", "moov"], rule=67)
    major, brands = read_brands(boxes[0], 67)
    check(bool(brands & FRAGMENT_BRANDS), 67, f"ftyp: no brand from iso6 on in {sorted(brands)}")
    moov = boxes[1].children()
    traks = [box for box in moov if box.type == "trak"]
    check(bool(traks), 68, "moov has no trak")
    check_kinds(moov, "moov", ["mvhd"] + ["trak"] * len(traks) + ["mvex"], {"udta", "meta", "pssh"})
    check(moov[0].type == "mvhd", 68, "moov does not begin with mvhd")
    defaults = _read_mvex(only(moov, "mvex", "moov"))
    tracks = [_read_trak(box, defaults, allows_edit_list) for box in traks]
    ids = [track.track_id for track in tracks]
    check(len(set(ids)) == len(ids), 68, f"moov: track_ID twice in {ids}")
    check(set(ids) == set(defaults), 68, f"mvex: trex for {sorted(defaults)}, traks {ids}")
    _read_mvhd(moov[0], max(ids))
    init = Init(major, brands, {track.track_id: track for track in tracks})
    check(not init.is_cmaf or len(ids) == 1, 76, f"a CMAF brand with {len(ids)} tracks")
    return init


def _read_mvhd(box: Box, last_id: int) -> None:
    fields = box.fields(68)
    wide = 8 if fields.full((0, 1)) else 4
    fields.take(2 * wide)
    check(fields.u32() > 0, 68, "mvhd: timescale 0")
    check(fields.uint(wide) == 0, 68, "mvhd: duration is not 0")
    fields.expect(b"\0\1\0\0\1\0" + bytes(10), "rate, volume, reserved")
    fields.expect(UNITY_MATRIX, "matrix")
    fields.zeros(24, "pre_defined")
    check(fields.u32() > last_id, 68, "mvhd: next_track_ID is in use")
    fields.done()


def _read_mvex(box: Box) -> dict[int, Trex]:
    boxes = box.children()
    check_kinds(boxes, "mvex", ["trex"] * len(boxes))
    defaults: dict[int, Trex] = {}
    for child in boxes:
        fields = child.fields(68)
        fields.full()
        track_id = fields.u32()
        check(track_id not in defaults, 68, f"mvex: two trex for track {track_id}")
        check(fields.u32() == 1, 68, "trex: default_sample_description_index is not 1")
        defaults[track_id] = Trex(fields.u32(), fields.u32(), fields.u32())
        check_sample_flags(defaults[track_id].flags, "trex")
        fields.done()
    return defaults


def check_sample_flags(flags: int, where: str) -> None:
    """Check the bits of sample flags (14496-12 8.8.3.1)."""
    check(flags >> 28 == 0, 72, f"{where}: reserved bits of the sample flags {flags:#010x}")
    depends_on, is_non_sync = flags >> 24 & 3, flags >> 16 & 1
    check(depends_on != 3, 72, f"{where}: sample_depends_on 3")
    contradicts = depends_on == 1 and not is_non_sync
    check(not contradicts, 72, f"{where}: a sync sample that depends on others ({flags:#010x})")


def _read_trak(box: Box, defaults: dict[int, Trex], allows_edit_list: bool) -> InitTrack:
    boxes = box.children()
    check_kinds(boxes, "trak", ["tkhd", "mdia"], {"edts", "udta", "meta"})
    mdia = boxes[[child.type for child in boxes].index("mdia")].children()
    check_kinds(mdia, "mdia", ["mdhd", "hdlr", "minf"], {"elng"})
    timescale, language = _read_mdhd(mdia[0])
    handler, name = _read_hdlr(only(mdia, "hdlr", "mdia"))
    track_id, size = _read_tkhd(boxes[0], handler)
    entry = _read_minf(only(mdia, "minf", "mdia"), handler)
    if handler == "vide":
        check(all(size), 68, f"tkhd: size {size} of a video track")
    elif entry.rates:
        check(timescale in entry.rates, 76, f"mdhd: timescale {timescale}, rates {entry.rates}")
    edits = [child for child in boxes if child.type == "edts"]
    check(allows_edit_list or not edits, 75, "trak has an edit list")
    elng = next((child for child in mdia if child.type == "elng"), None)
    trex = defaults.get(track_id)
    check(trex is not None, 68, f"mvex has no trex for track {track_id}")
    assert trex is not None
    return InitTrack(
        track_id, handler, timescale, language, _read_elng(elng), name, entry, trex,
        edit_ticks=sum(_read_edts(child) for child in edits),
    )  # fmt: skip


def _read_tkhd(box: Box, handler: str) -> tuple[int, tuple[int, int]]:
    fields = box.fields(68)
    version_flags = fields.full((0, 1), None)
    wanted = _ENABLED | _IN_MOVIE
    check(version_flags & wanted == wanted, 68, "tkhd: track not enabled or not in the movie")
    check(version_flags & 0xFFFFF0 == 0, 68, f"tkhd: flags {version_flags:#x}")
    wide = 8 if version_flags >> 24 else 4
    fields.take(2 * wide)
    track_id = fields.u32()
    check(track_id > 0, 68, "tkhd: track_ID 0")
    fields.zeros(4)
    check(fields.uint(wide) == 0, 68, "tkhd: duration is not 0")
    fields.zeros(8)
    fields.zeros(2, "layer")
    fields.u16()
    volume = 0x0100 if handler == "soun" else 0
    check(fields.u16() == volume, 68, "tkhd: volume")
    fields.zeros(2)
    fields.expect(UNITY_MATRIX, "matrix")
    size = fields.u32(), fields.u32()
    fields.done()
    return track_id, size


def _read_mdhd(box: Box) -> tuple[int, str]:
    fields = box.fields(68)
    wide = 8 if fields.full((0, 1)) else 4
    fields.take(2 * wide)
    timescale = fields.u32()
    check(timescale > 0, 68, "mdhd: timescale 0")
    check(fields.uint(wide) == 0, 68, "mdhd: duration is not 0")
    packed = fields.u16()
    letters = [(packed >> shift & 31) + 0x60 for shift in (10, 5, 0)]
    language = "".join(map(chr, letters))
    check(packed >> 15 == 0 and language.isalpha(), 68, f"mdhd: language {packed:#06x}")
    fields.zeros(2, "pre_defined")
    fields.done()
    return timescale, language


def _read_hdlr(box: Box) -> tuple[str, str]:
    fields = box.fields(68)
    fields.full()
    fields.zeros(4, "pre_defined")
    handler = fields.take(4).decode("ascii")
    check(handler in ("vide", "soun"), 68, f"hdlr: {handler}")
    fields.zeros(12)
    name = fields.text()
    fields.done()
    return handler, name


def _read_elng(box: Box | None) -> str | None:
    if box is None:
        return None
    fields = box.fields(68)
    fields.full()
    language = fields.text()
    fields.done()
    return language


def _read_edts(box: Box) -> int:
    """Give the media_time of the one entry that is no empty edit (14496-12 8.6.6)."""
    fields = only(box.children(), "elst", "edts").fields(68)
    wide = 8 if fields.full((0, 1)) else 4
    times = []
    for _ in range(fields.u32()):
        fields.uint(wide)
        time = fields.uint(wide)
        fields.expect(b"\0\1\0\0", "media_rate")
        if time != (1 << 8 * wide) - 1:
            times.append(time)
    fields.done()
    check(len(times) == 1, 75, f"elst with media times {times}")
    return times[0]


def _read_minf(box: Box, handler: str) -> SampleEntry:
    boxes = box.children()
    header = "vmhd" if handler == "vide" else "smhd"
    check_kinds(boxes, "minf", [header, "dinf", "stbl"])
    fields = boxes[0].fields(68)
    fields.full(flags=(1,) if handler == "vide" else (0,))
    fields.zeros(8 if handler == "vide" else 4, "mode, colour or balance")
    fields.done()
    (dref,) = boxes[1].children()
    check(dref.type == "dref", 68, f"dinf has {dref.type}")
    # 12 bytes of dref say one entry; "url " with flag 1: the media is in this file.
    alone = bytes(7) + b"\1" + b"\0\0\0\x0curl \0\0\0\1"
    check(dref.body == alone, 69, f"dref is {dref.body.hex()}: one entry for the same file wanted")
    return _read_stbl(boxes[2], handler)


def _read_stbl(box: Box, handler: str) -> SampleEntry:
    boxes = box.children()
    check_kinds(boxes, "stbl", ["stsd", "stts", "stsc", "stsz", "stco"], {"sgpd", "sbgp", "sdtp"})
    for child in boxes:
        if child.type in ("stts", "stsc", "stco"):
            check(child.body == bytes(8), 68, f"{child.type} is not empty")
        elif child.type == "stsz":
            check(child.body == bytes(12), 68, "stsz is not empty")
        elif child.type == "sdtp":
            check(len(child.body) == 4, 68, "sdtp is not empty")
    stsd = boxes[0]
    check(stsd.body[:8] == bytes(7) + b"\1", 68, "stsd has not one entry")
    (entry,) = stsd.children(8)
    table = VIDEO_CONFIG if handler == "vide" else AUDIO_CONFIG
    check(entry.type in table, 68, f"stsd: {entry.type} in a track of {handler}")
    return read_video_entry(entry) if handler == "vide" else read_audio_entry(entry)
