"""Sample entries and decoder configurations for the strict MP4 reader of the tests.

From ISO/IEC 14496-12 12.1, 12.2 (entries) · 14496-15 5.3.3, 8.3.3 (avcC, hvcC) · 14496-14 5.6 and
14496-1 7.2.6 (esds) · 14496-3 1.6.2 (AudioSpecificConfig) · AV1 in ISOBMFF 2.3 · VP in ISOBMFF ·
Opus in ISOBMFF 4.3 · FLAC in ISOBMFF · ETSI TS 102 366 annex F (dac3, dec3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.mp4_boxes import Bits, Box, Fields, check

VIDEO_CONFIG = {"avc1": "avcC", "avc3": "avcC", "hvc1": "hvcC", "hev1": "hvcC", "av01": "av1C",
                "vp09": "vpcC"}  # fmt: skip
AUDIO_CONFIG = {"mp4a": "esds", "Opus": "dOps", "fLaC": "dfLa", "ac-3": "dac3", "ec-3": "dec3",
                ".mp3": ""}  # fmt: skip
_VIDEO_EXTRAS = {"pasp", "colr", "btrt", "clli", "mdcl", "fiel", "dvcC", "dvvC", "SmDm", "CoLL"}
_AUDIO_EXTRAS = {"btrt", "chnl", "srat", "sinf"}
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000,
              7350)  # fmt: skip
#: objectTypeIndication (14496-1 table 5).
AAC = 0x40
_MP3 = (0x69, 0x6B)
_HIGH_PROFILES = {100, 110, 122, 144, 244}


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """One entry of stsd."""

    codec: str
    #: Bodies of all boxes in it by type: avcC, esds, colr, ...
    boxes: dict[str, bytes]
    width: int = 0
    height: int = 0
    channel_count: int = 0
    sample_rate: int = 0
    sample_size_bits: int = 0
    #: Bytes of a NAL unit's length; 0 for codecs without NAL units.
    nal_length_bytes: int = 0
    #: Rates that may serve as timescale and samplerate; empty: unknown.
    rates: frozenset[int] = field(default=frozenset())


def read_video_entry(box: Box) -> SampleEntry:
    """Read a VisualSampleEntry (14496-12 12.1.3)."""
    fields = box.fields(68)
    fields.zeros(6)
    check(fields.u16() == 1, 68, f"{box.path}: data_reference_index is not 1")
    fields.zeros(16, "pre_defined")
    width, height = fields.u16(), fields.u16()
    check(width > 0 and height > 0, 68, f"{box.path}: {width}x{height}")
    fields.expect(b"\0\x48\0\0\0\x48\0\0" + bytes(4), "resolution")
    check(fields.u16() == 1, 68, f"{box.path}: frame_count is not 1")
    name = fields.take(32)
    check(name[0] <= 31 and not any(name[1 + name[0] :]), 68, f"{box.path}: compressorname")
    fields.expect(b"\0\x18\xff\xff", "depth and pre_defined")
    boxes = _configs(box, 78, VIDEO_CONFIG, _VIDEO_EXTRAS)
    nal_length_bytes = _VIDEO_READERS[VIDEO_CONFIG[box.type]](boxes, box.type)
    _check_extras(boxes, box.path)
    return SampleEntry(
        box.type, boxes, width=width, height=height, nal_length_bytes=nal_length_bytes
    )


def read_audio_entry(box: Box) -> SampleEntry:
    """Read an AudioSampleEntry of version 0 (14496-12 12.2.3)."""
    fields = box.fields(68)
    fields.zeros(6)
    check(fields.u16() == 1, 68, f"{box.path}: data_reference_index is not 1")
    fields.zeros(8)
    channels, bits = fields.u16(), fields.u16()
    fields.zeros(4)
    rate = fields.u32()
    check(rate & 0xFFFF == 0, 68, f"{box.path}: samplerate {rate:#x} has a fraction")
    check(channels > 0, 68, f"{box.path}: no channels")
    boxes = _configs(box, 28, AUDIO_CONFIG, _AUDIO_EXTRAS)
    reader = _AUDIO_READERS.get(AUDIO_CONFIG[box.type])
    entry = SampleEntry(box.type, boxes, 0, 0, channels, rate >> 16, bits)
    rates = reader(entry) if reader else frozenset({rate >> 16})
    # 12.2.3: what doesn't fit into 16 bits is 0, or halved until it fits.
    fitting = {r for r in rates if r < 1 << 16} or {0, *(r // 2 for r in rates)}
    check(rate >> 16 in fitting, 68, f"{box.path}: samplerate {rate >> 16}, config {set(rates)}")
    check(bits == 16 or box.type == "fLaC", 68, f"{box.path}: samplesize {bits}")
    _check_extras(boxes, box.path)
    return SampleEntry(box.type, boxes, 0, 0, channels, rate >> 16, bits, rates=rates)


def _configs(box: Box, skip: int, table: dict[str, str], extras: set[str]) -> dict[str, bytes]:
    boxes = box.children(skip)
    kinds = [child.type for child in boxes]
    check(len(set(kinds)) == len(kinds), 68, f"{box.path} has {kinds}")
    config = table[box.type]
    check(not config or config in kinds, 68, f"{box.path} has no {config}")
    unknown = set(kinds) - extras - {config}
    check(not unknown, 68, f"{box.path} has {sorted(unknown)}")
    return {child.type: child.body for child in boxes}


def _check_extras(boxes: dict[str, bytes], where: str) -> None:
    sizes = {"btrt": (12,), "pasp": (8,), "clli": (4,), "mdcl": (24,), "fiel": (2,)}
    for kind, allowed in sizes.items():
        if kind in boxes:
            check(len(boxes[kind]) in allowed, 68, f"{where}/{kind} has {len(boxes[kind])} bytes")
    if pasp := boxes.get("pasp"):
        check(any(pasp[:4]) and any(pasp[4:]), 68, f"{where}/pasp is {pasp.hex()}")
    if colr := boxes.get("colr"):
        check(colr[:4] == b"nclx" and len(colr) == 11, 68, f"{where}/colr is {colr.hex()}")
        check(colr[10] & 0x7F == 0, 68, f"{where}/colr: reserved bits")


def _read_avc(boxes: dict[str, bytes], codec: str) -> int:
    fields = Fields(boxes["avcC"], "avcC", 68)
    check(fields.u8() == 1, 68, "avcC: configurationVersion is not 1")
    profile = fields.take(3)
    length = fields.u8()
    check(length & 0xFC == 0xFC, 68, "avcC: reserved bits of lengthSize")
    check(length & 3 != 2, 68, "avcC: a NAL length of 3 bytes")
    count = fields.u8()
    check(count & 0xE0 == 0xE0, 68, "avcC: reserved bits of numOfSequenceParameterSets")
    sets = [fields.take(fields.u16()) for _ in range(count & 31)]
    pictures = [fields.take(fields.u16()) for _ in range(fields.u8())]
    check(bool(sets and pictures) or codec == "avc3", 68, "avcC has no parameter sets")
    check(all(nal[:1] and nal[0] & 0x9F == 7 for nal in sets), 68, "avcC: not an SPS")
    check(all(nal[:1] and nal[0] & 0x9F == 8 for nal in pictures), 68, "avcC: not a PPS")
    check(all(nal[1:4] == profile for nal in sets), 68, "avcC: profile and level of the SPS differ")
    if profile[0] in _HIGH_PROFILES:
        chroma, luma_depth, chroma_depth = fields.take(3)
        reserved = (chroma & 0xFC, luma_depth & 0xF8, chroma_depth & 0xF8)
        check(reserved == (0xFC, 0xF8, 0xF8), 68, "avcC: reserved bits of the extension")
        for _ in range(fields.u8()):
            nal = fields.take(fields.u16())
            check(nal[:1] == b"\x6d" or nal[0] & 31 == 13, 68, "avcC: not an SPS extension")
    fields.done()
    return (length & 3) + 1


def _read_hevc(boxes: dict[str, bytes], codec: str) -> int:
    fields = Fields(boxes["hvcC"], "hvcC", 68)
    check(fields.u8() == 1, 68, "hvcC: configurationVersion is not 1")
    profile_tier_level = fields.take(12)
    segmentation = fields.u16()
    parallelism, chroma, luma_depth, chroma_depth = fields.take(4)
    check(segmentation >> 12 == 15, 68, "hvcC: reserved bits of min_spatial_segmentation")
    reserved = (parallelism & 0xFC, chroma & 0xFC, luma_depth & 0xF8, chroma_depth & 0xF8)
    check(reserved == (0xFC, 0xFC, 0xF8, 0xF8), 68, f"hvcC: reserved bits {reserved}")
    fields.u16()
    length = fields.u8() & 3
    check(length != 2, 68, "hvcC: a NAL length of 3 bytes")
    kinds = []
    for _ in range(fields.u8()):
        head = fields.u8()
        kind = head & 63
        check(head & 64 == 0, 68, "hvcC: reserved bit of an array")
        complete = head & 128 or codec == "hev1" or kind not in (32, 33, 34)
        check(bool(complete), 68, f"hvcC: array of type {kind} is not complete, yet it is hvc1")
        for _ in range(fields.u16()):
            nal = fields.take(fields.u16())
            check(nal[0] >> 1 == kind, 68, f"hvcC: NAL type {nal[0] >> 1} in array {kind}")
            if kind == 33:
                found = unescape(nal)[3:15]
                check(found == profile_tier_level, 68, "hvcC: profile, tier, level of the SPS")
        kinds.append(kind)
    check(len(set(kinds)) == len(kinds), 68, f"hvcC: arrays {kinds}")
    check({32, 33, 34} <= set(kinds) or codec == "hev1", 68, f"hvcC has only types {kinds}")
    fields.done()
    return length + 1


def _read_av1(boxes: dict[str, bytes], codec: str) -> int:
    fields = Fields(boxes["av1C"], "av1C", 68)
    check(fields.u8() == 0x81, 68, "av1C: marker and version")
    profile_level, format_bits, delay = fields.take(3)
    check(delay & 0xE0 == 0 and (delay & 0x10 != 0 or delay == 0), 68, "av1C: reserved bits")
    headers = [payload for kind, payload in split_obus(fields.rest(), 68) if kind == 1]
    check(len(headers) <= 1, 68, "av1C has more than one sequence header")
    for payload in headers:
        profile, level, tier = _sequence_header(payload)
        expected = (profile_level >> 5, profile_level & 31, format_bits >> 7)
        check((profile, level, tier) == expected, 68, f"av1C: {expected}, sequence header differs")
    return 0


def _sequence_header(payload: bytes) -> tuple[int, int, int]:
    """Give seq_profile, seq_level_idx[0] and seq_tier[0] (AV1 5.5.1)."""
    bits = Bits(payload, "AV1 sequence header")
    profile = bits.read(3)
    bits.read(1)
    if bits.read(1):
        return profile, bits.read(5), 0
    if bits.read(1):
        bits.read(64)
        if bits.read(1):
            zeros = 0
            while not bits.read(1):
                zeros += 1
            bits.read(zeros)
        if bits.read(1):
            bits.read(47)
    bits.read(1 + 5 + 12)
    level = bits.read(5)
    return profile, level, bits.read(1) if level > 7 else 0


def _read_vp9(boxes: dict[str, bytes], codec: str) -> int:
    fields = Fields(boxes["vpcC"], "vpcC", 68)
    fields.full(versions=(1,))
    profile, level, depth = fields.take(3)
    check(profile <= 3, 68, f"vpcC: profile {profile}")
    check(level in {10, 11, 20, 21, 30, 31, 40, 41, 50, 51, 52, 60, 61, 62}, 68, f"vpcC: {level}")
    check(depth >> 4 in ((8,) if profile < 2 else (10, 12)), 68, f"vpcC: {depth >> 4} bits")
    check((depth >> 1 & 7) <= (1 if profile in (0, 2) else 3), 68, "vpcC: chroma subsampling")
    fields.take(3)
    check(fields.u16() == 0, 68, "vpcC: codecInitializationData")
    fields.done()
    return 0


def _read_esds(entry: SampleEntry) -> frozenset[int]:
    fields = Fields(entry.boxes["esds"], "esds", 74)
    fields.full()
    stream = _descriptor(fields, 3)
    fields.done()
    stream.u16()
    check(stream.u8() & 0xE0 == 0, 74, "esds: stream flags")
    decoder = _descriptor(stream, 4)
    layer = _descriptor(stream, 6)
    stream.done()
    layer.expect(b"\x02", "SLConfig predefined")
    layer.done()
    kind = decoder.u8()
    check(decoder.u8() == 0x15, 74, "esds: streamType is not audio, or its reserved bit is 0")
    decoder.take(11)
    if kind in _MP3:
        decoder.done()
        return frozenset({entry.sample_rate})
    check(kind == AAC, 74, f"esds: objectTypeIndication {kind:#x}")
    specific = _descriptor(decoder, 5).rest()
    decoder.done()
    return _check_asc(specific, entry.channel_count)


def object_type(esds: bytes) -> int:
    """Give the objectTypeIndication."""
    fields = Fields(esds, "esds", 74)
    fields.full()
    stream = _descriptor(fields, 3)
    stream.take(3)
    return _descriptor(stream, 4).u8()


def decoder_config(esds: bytes) -> bytes:
    """Give the DecoderSpecificInfo, for AAC the AudioSpecificConfig; empty: there is none."""
    fields = Fields(esds, "esds", 74)
    fields.full()
    stream = _descriptor(fields, 3)
    stream.take(3)
    decoder = _descriptor(stream, 4)
    decoder.take(13)
    return _descriptor(decoder, 5).rest() if decoder.left else b""


def _descriptor(fields: Fields, tag: int) -> Fields:
    """Read an expandable class (14496-1 8.3.3)."""
    found = fields.u8()
    check(found == tag, 74, f"esds: descriptor {found}, not {tag}")
    size = 0
    for _ in range(4):
        octet = fields.u8()
        size = size << 7 | octet & 127
        if not octet & 128:
            break
    return Fields(fields.take(size), f"esds descriptor {tag}", 74)


def _check_asc(specific: bytes, channel_count: int) -> frozenset[int]:
    """Check an AudioSpecificConfig against the channels; give its rates, SBR's included."""
    bits = Bits(specific, "AudioSpecificConfig", 74)
    kind = bits.read(5)
    rate = _asc_rate(bits)
    channels = bits.read(4)
    rates = {rate}
    if kind in (5, 29):
        rates.add(_asc_rate(bits))
        kind = bits.read(5)
    check(kind in (1, 2, 3, 4), 74, f"AudioSpecificConfig: object type {kind}")
    allowed = {8} if channels == 7 else {channels}
    if channels == 0:
        allowed = set(range(1, 49))
    # 2 is the default of the template field, and what parametric stereo makes of one channel.
    check(channel_count in allowed | {2}, 74, f"{channel_count} channels, {channels} in the config")
    if len(specific) > 2 and len(rates) == 1:
        rates.add(2 * rate)
    return frozenset(rates)


def _asc_rate(bits: Bits) -> int:
    index = bits.read(4)
    if index == 15:
        return bits.read(24)
    check(index < len(_AAC_RATES), 74, f"AudioSpecificConfig: frequency index {index}")
    return _AAC_RATES[index]


def _read_opus(entry: SampleEntry) -> frozenset[int]:
    fields = Fields(entry.boxes["dOps"], "dOps", 68)
    check(fields.u8() == 0, 68, "dOps: version")
    channels = fields.u8()
    fields.take(8)
    family = fields.u8()
    if family:
        streams, coupled = fields.u8(), fields.u8()
        mapping = fields.take(channels)
        check(coupled <= streams, 68, "dOps: more coupled streams than streams")
        check(all(i < streams + coupled or i == 255 for i in mapping), 68, "dOps: mapping")
    fields.done()
    check(channels == entry.channel_count, 68, f"dOps: {channels} channels")
    check(family != 0 or channels <= 2, 68, f"dOps: {channels} channels in family 0")
    return frozenset({48000})


def _read_flac(entry: SampleEntry) -> frozenset[int]:
    fields = Fields(entry.boxes["dfLa"], "dfLa", 68)
    fields.full()
    head = fields.u8()
    check(head & 127 == 0, 68, "dfLa does not begin with STREAMINFO")
    info = Fields(fields.take(fields.uint(3)), "STREAMINFO", 68)
    while not head & 128:
        head = fields.u8()
        fields.take(fields.uint(3))
    fields.done()
    smallest, largest = info.u16(), info.u16()
    check(16 <= smallest <= largest, 68, f"STREAMINFO: blocks of {smallest} to {largest}")
    info.take(6)
    packed = info.u64()
    info.take(16)
    info.done()
    rate, channels, depth = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    check(channels == entry.channel_count, 68, f"STREAMINFO: {channels} channels")
    check(depth == entry.sample_size_bits, 68, f"STREAMINFO: {depth} bits")
    return frozenset({rate})


def _read_dac3(entry: SampleEntry) -> frozenset[int]:
    check(len(entry.boxes["dac3"]) == 3, 68, "dac3 does not have 3 bytes")
    bits = Bits(entry.boxes["dac3"], "dac3")
    rate_code, bsid = bits.read(2), bits.read(5)
    bits.read(3 + 3 + 1)
    check(bits.read(5) <= 18, 68, "dac3: bit_rate_code")
    check(bits.read(5) == 0, 68, "dac3: reserved bits")
    check(rate_code < 3 and bsid <= 8, 68, f"dac3: fscod {rate_code}, bsid {bsid}")
    return frozenset({(48000, 44100, 32000)[rate_code]})


def _read_dec3(entry: SampleEntry) -> frozenset[int]:
    bits = Bits(entry.boxes["dec3"], "dec3")
    bits.read(13)
    rates = set()
    for _ in range(bits.read(3) + 1):
        rate_code, bsid, reserved = bits.read(2), bits.read(5), bits.read(1)
        bits.read(1 + 3 + 3 + 1)
        reserved |= bits.read(3)
        reserved |= 0 if bits.read(4) and bits.read(9) + 1 else bits.read(1)
        check(reserved == 0, 68, "dec3: reserved bits")
        check(rate_code < 3 and bsid == 16, 68, f"dec3: fscod {rate_code}, bsid {bsid}")
        rates.add((48000, 44100, 32000)[rate_code])
    check(bits.left in (0, 16), 68, f"dec3: {bits.left} bits too many")
    return frozenset(rates)


_VIDEO_READERS: dict[str, Callable[[dict[str, bytes], str], int]] = {
    "avcC": _read_avc,
    "hvcC": _read_hevc,
    "av1C": _read_av1,
    "vpcC": _read_vp9,
}
_AUDIO_READERS: dict[str, Callable[[SampleEntry], frozenset[int]]] = {
    "esds": _read_esds,
    "dOps": _read_opus,
    "dfLa": _read_flac,
    "dac3": _read_dac3,
    "dec3": _read_dec3,
}


def unescape(nal: bytes) -> bytes:
    """Take the emulation prevention out of a NAL unit."""
    return nal.replace(b"\0\0\x03", b"\0\0")


def split_obus(octets: bytes, rule: int = 73) -> list[tuple[int, bytes]]:
    """Give type and payload of OBUs (AV1 5.3); only the last may lack its size."""
    fields = Fields(octets, "OBUs", rule)
    obus = []
    while fields.left:
        head = fields.u8()
        check(head & 0x81 == 0, rule, f"OBU header {head:#04x}")
        if head & 4:
            fields.u8()
        size = fields.left
        if head & 2:
            size = shift = 0
            for _ in range(8):
                octet = fields.u8()
                size |= (octet & 127) << shift
                shift += 7
                if not octet & 128:
                    break
        obus.append((head >> 3 & 15, fields.take(size)))
    return obus
