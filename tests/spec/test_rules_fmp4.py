"""Rules 67 to 78: fragmented MP4, as served.

``mp4_reader`` holds every box against all of these rules; the tests here look at the bytes, each
for its rule.
"""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.spec.listing import Mp4Listed, TsListed, read_mp4
from tests.spec.stage import Recording, map_uri, stage
from tests.support.eflv_encoder import Plan, encode
from tests.support.elementary import FFMPEG, clip
from tests.support.mp4_boxes import Box, read_boxes
from tests.support.mp4_reader import TimedSample
from tests.support.ts_reader import ADTS, VIDEO

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(FFMPEG is None, reason="no ffmpeg here to make the clips"),
]

CONTAINERS = {"moov", "trak", "mdia", "minf", "stbl", "mvex", "moof", "traf", "dinf"}


def boxes(data: bytes) -> list[Box]:
    """Give all boxes, those inside others behind them."""
    found = []
    queue = read_boxes(data)
    while queue:
        box = queue.pop(0)
        found.append(box)
        if box.type in CONTAINERS:
            queue[:0] = box.children()
    return found


def of_type(data: bytes, kind: str) -> list[Box]:
    """Give the boxes of one type."""
    return [box for box in boxes(data) if box.type == kind]


def test_rule_67_ftyp_then_moov(mp4_segments: list[Mp4Listed]) -> None:
    for each in mp4_segments:
        assert [box.type for box in read_boxes(each.init_data)] == ["ftyp", "moov"]
        body = read_boxes(each.init_data)[0].body
        brands = {body[at : at + 4].decode() for at in (0, *range(8, len(body), 4))}
        assert brands & {"iso6", "iso7", "iso8", "iso9", "cmfc", "cmf2"}


def test_rule_68_moov_without_samples(mp4_segments: list[Mp4Listed]) -> None:
    data = mp4_segments[0].init_data
    for kind in ("stts", "stsc", "stco"):
        assert [box.body for box in of_type(data, kind)] == [bytes(8)] * 2
    assert [box.body for box in of_type(data, "stsz")] == [bytes(12)] * 2
    order = [box.type for box in of_type(data, "moov")[0].children()]
    assert order == ["mvhd", "trak", "trak", "mvex"]
    track_ids = [int.from_bytes(box.body[4:8], "big") for box in of_type(data, "trex")]
    assert sorted(track_ids) == sorted(mp4_segments[0].init.tracks)
    assert all(not any(box.body[20:24]) for box in of_type(data, "tkhd"))  # duration


def test_rule_69_boxes_of_a_segment(mp4_segments: list[Mp4Listed]) -> None:
    for each in mp4_segments:
        kinds = [box.type for box in read_boxes(each.data)]
        first = kinds.index("moof")
        assert set(kinds[:first]) <= {"styp", "sidx", "prft", "emsg"}
        fragments = [kind for kind in kinds[first:] if kind not in ("prft", "emsg")]
        assert fragments == ["moof", "mdat"] * (len(fragments) // 2)
        for tfhd in of_type(each.data, "tfhd"):
            flags = int.from_bytes(tfhd.body[1:4], "big")
            assert flags & 0x020000 and not flags & 1
        assert len(of_type(each.data, "tfdt")) == len(of_type(each.data, "traf"))


def test_rule_70_samples_cover_the_mdat(mp4_segments: list[Mp4Listed]) -> None:
    for each in mp4_segments:
        sizes = sum(
            len(sample.data)
            for track_id in each.init.tracks
            for sample in each.mp4.samples(track_id)
        )
        assert sizes == sum(len(box.body) for box in of_type(each.data, "mdat"))


def test_rule_71_decode_times_go_on(mp4_segments: list[Mp4Listed]) -> None:
    """In ticks, exactly; tfdt has 64 bits."""
    following: dict[int, int] = {}
    compared = 0
    for each in mp4_segments:
        assert {box.body[0] for box in of_type(each.data, "tfdt")} == {1}
        if each.entry.discontinuity:
            following.clear()
        for fragment in each.mp4.fragments:
            for track_id, samples in fragment.tracks.items():
                if track_id in following:
                    assert fragment.decode_times[track_id] == following[track_id]
                    compared += 1
                following[track_id] = samples[-1].dts + samples[-1].duration
    assert compared > 20


def test_rule_72_sync_samples_are_idr(mp4_segments: list[Mp4Listed]) -> None:
    for each in mp4_segments:
        (video,) = [t.track_id for t in each.init.tracks.values() if t.handler == "vide"]
        samples = each.mp4.samples(video)
        assert samples[0].is_sync
        for sample in samples:
            at, types = 0, set()
            while at < len(sample.data):
                types.add(sample.data[at + 4] & 31)
                at += 4 + int.from_bytes(sample.data[at : at + 4], "big")
            assert sample.is_sync == (5 in types)


def test_rule_73_length_prefixed_nal_units(
    fmp4_stream: Recording, mp4_segments: list[Mp4Listed]
) -> None:
    """As FLV has them; no parameter sets in avc1."""
    sent = [m.payload[5:] for m in fmp4_stream.sent[0] if m.message_type == 9 and m.payload[1] == 1]
    got = []
    for each in mp4_segments:
        (video,) = [t for t in each.init.tracks.values() if t.handler == "vide"]
        assert video.codec == "avc1" and video.entry.nal_length_bytes == 4
        got += [sample.data for sample in each.mp4.samples(video.track_id)]
    assert len(got) == len(sent)
    for data, original in zip(got, sent, strict=True):
        kinds, at, kept = [], 0, b""
        while at < len(original):
            size = 4 + int.from_bytes(original[at : at + 4], "big")
            if original[at + 4] & 31 not in (7, 8):
                kept += original[at : at + size]
                kinds.append(original[at + 4] & 31)
            at += size
        assert data == kept and kinds


def test_rule_74_raw_aac_and_its_config(
    fmp4_stream: Recording, mp4_segments: list[Mp4Listed]
) -> None:
    sent = [m.payload[2:] for m in fmp4_stream.sent[0] if m.message_type == 8 and m.payload[1] == 1]
    got = []
    for each in mp4_segments:
        (audio,) = [t for t in each.init.tracks.values() if t.handler == "soun"]
        assert clip("aac").config in audio.configs["esds"]
        got += [sample.data for sample in each.mp4.samples(audio.track_id)]
    assert len(got) > 700 and all(data[:2] != b"\xff\xf1" for data in got)
    kept = set(got)
    assert len([data for data in sent if data not in kept]) <= 5


def test_rule_75_same_presentation_as_in_transport_streams(
    ts_segments: list[TsListed], mp4_segments: list[Mp4Listed]
) -> None:
    """The same publish in both containers: each picture and sound at the same time, no edit list.

    Up to a tick for sound, whose timescale is its sampling rate.
    """
    for mp4, ts in zip(mp4_segments, ts_segments[: len(mp4_segments)], strict=True):
        assert not of_type(mp4.init_data, "edts")
        for track in mp4.init.tracks.values():
            samples = mp4.mp4.samples(track.track_id)
            shown = [Fraction(s.pts * 90_000, track.timescale) for s in samples]
            units = ts.ts.of_type(VIDEO if track.handler == "vide" else ADTS)
            if track.handler == "vide":
                assert [round(each) for each in shown] == [pes.pts for pes in units]
            else:
                assert abs(shown[0] - units[0].pts) <= 1
    assert any(s.pts != s.dts for s in mp4_segments[0].mp4.samples(1))


def test_rule_76_sequence_numbers_and_one_track_per_cmaf_file(
    mp4_segments: list[Mp4Listed], ll_stream: Recording
) -> None:
    numbers = [f.sequence_number for each in mp4_segments for f in each.mp4.fragments]
    assert all(after > before for before, after in zip(numbers, numbers[1:], strict=False))
    kinds = set()
    for name in ll_stream.names:
        for each in read_mp4(ll_stream, name)[0]:
            (track,) = each.init.tracks.values()
            kinds.add((each.init.is_cmaf, track.handler))
            assert track.timescale in (90_000, 48_000)
    assert kinds == {(True, "vide"), (True, "soun")}


def test_rule_77_new_parameter_sets_new_init_section(fmp4_stream: Recording) -> None:
    (before, after) = {map_uri(s.init_map): s for p in fmp4_stream.playlists() for s in p.segments}
    assert fmp4_stream.data(before) != fmp4_stream.data(after)
    firsts = [
        s for p in fmp4_stream.playlists() for s in p.segments if map_uri(s.init_map) == after
    ]
    assert min(firsts, key=lambda each: each.msn).discontinuity
    sizes = []
    for uri in (before, after):
        entry = of_type(fmp4_stream.data(uri), "stsd")[0].children(8)[0]
        sizes.append((entry.body[24:26].hex(), entry.body[26:28].hex()))
    assert sizes == [("0140", "00b4"), ("0280", "0168")]  # 320x180, 640x360


def test_rule_78_hevc_goes_into_fragmented_mp4(hevc_stream: Recording) -> None:
    segments, checker = read_mp4(hevc_stream)
    assert {t.codec for t in segments[0].init.tracks.values()} == {"hvc1", "mp4a"}
    assert 'CODECS="hvc1.' in hevc_stream.entries[-1]
    pictures = [s for samples in checker.samples.values() for s in samples if _is_hevc(s)]
    assert len(pictures) == 150


def _is_hevc(sample: TimedSample) -> bool:
    return sample.duration_s == Fraction(1, 25)


async def test_rule_78_hevc_is_refused_in_transport_streams() -> None:
    """The operator is told; what the container carries is played on."""
    async with stage(HLS__SEGMENT_DURATION="1s", HLS__CONTAINER="mpegts") as scene:
        await scene.publish(encode([Plan(clip("hevc")), Plan(clip("aac"))]))
        assert scene.seen.notes
        assert "hvc1" not in scene.seen.entries[-1] and "mp4a.40.2" in scene.seen.entries[-1]
