"""Clips: what a round of a loop sends, and how long it is."""

from __future__ import annotations

import pytest

from hlsorigin.errors import FlvError
from hlsorigin.flv.file import read_flv
from hlsorigin.push.clip import (
    AUDIO,
    SCRIPT,
    VIDEO,
    Clip,
    ClipMessage,
    PushUrlError,
    build_clip,
    load_clip,
    parse_push_url,
)
from tests.flv.payloads import FIXTURES

AVC_HEADER = ClipMessage(VIDEO, 0, b"\x17\x00\x00\x00\x00avcC")
AVC_END = ClipMessage(VIDEO, 1000, b"\x17\x02\x00\x00\x00")
AAC_HEADER = ClipMessage(AUDIO, 0, b"\xaf\x00\x12\x10")
METADATA = ClipMessage(SCRIPT, 0, b"\x02\x00\x0aonMetaData\x05")


def video(ms: int, data: bytes = b"frame") -> ClipMessage:
    return ClipMessage(VIDEO, ms, b"\x27\x01\x00\x00\x00" + data)


def audio(ms: int) -> ClipMessage:
    return ClipMessage(AUDIO, ms, b"\xaf\x01frame")


class TestClip:
    def test_headers_are_in_the_first_round_only(self) -> None:
        frames = [video(0), audio(0), video(40), audio(23)]
        clip = build_clip([METADATA, AVC_HEADER, AAC_HEADER, *frames])
        assert list(clip.first_round) == [METADATA, AVC_HEADER, AAC_HEADER, *frames]
        assert list(clip.later_rounds) == frames

    def test_headers_that_change_come_again(self) -> None:
        other = ClipMessage(VIDEO, 40, AVC_HEADER.payload + b"2")
        clip = build_clip([AVC_HEADER, video(0), other, video(40)])
        assert list(clip.later_rounds) == [AVC_HEADER, video(0), other, video(40)]

    def test_enhanced_headers(self) -> None:
        """Enhanced RTMP v2: bit 7 set, PacketType 0 in the low four bits starts a sequence."""
        header = ClipMessage(VIDEO, 0, b"\x90hvc1hvcC")
        sound = ClipMessage(AUDIO, 0, b"\x90OpusOpusHead")
        frame = ClipMessage(VIDEO, 0, b"\x91hvc1frame")
        clip = build_clip([header, sound, frame])
        assert list(clip.later_rounds) == [frame]

    def test_enhanced_headers_behind_multitrack_and_mod_ex(self) -> None:
        """OneTrack of track 1, ModEx in front; SequenceEnd of one track is no end of the loop."""
        old = ClipMessage(VIDEO, 0, b"\x17\x00\x00\x00\x00avcC")
        header = ClipMessage(VIDEO, 0, b"\x96\x00avc1\x01avcC")
        exact = ClipMessage(VIDEO, 0, b"\x97\x02\x00\x00\x01\x01av01frame")
        end = ClipMessage(VIDEO, 40, b"\x96\x02avc1\x01")
        cut = ClipMessage(VIDEO, 40, b"\x96")
        clip = build_clip([old, header, exact, end, cut])
        assert clip.is_enhanced
        assert list(clip.first_round) == [old, header, exact, cut]
        assert not build_clip([AVC_HEADER, video(0)]).is_enhanced

    def test_enhanced_file_is_passed_on_as_it_is(self) -> None:
        path = FIXTURES / "ertmp_av1_opus.flv"
        clip = load_clip(path)
        tags = [(tag.type, tag.payload) for tag in read_flv(path.read_bytes()).tags]
        assert clip.is_enhanced
        assert [(m.message_type, m.payload) for m in clip.first_round] == tags

    def test_tracks_of_a_kind_don_t_shorten_the_round(self) -> None:
        frames = [ClipMessage(VIDEO, 40 * (i // 2), b"\xa6\x01av01\x00x") for i in range(50)]
        assert build_clip(frames).duration_ms == 1000

    def test_no_end_of_sequence_and_nothing_empty(self) -> None:
        empty, unknown = ClipMessage(AUDIO, 5, b""), ClipMessage(15, 5, b"x")
        clip = build_clip([AVC_HEADER, video(0), empty, unknown, video(40), AVC_END])
        assert list(clip.first_round) == [AVC_HEADER, video(0), video(40)]

    def test_timestamps_start_at_zero(self) -> None:
        clip = build_clip([AVC_HEADER, video(5000), audio(5010)])
        assert [m.offset_ms for m in clip.first_round] == [0, 0, 10]

    @pytest.mark.parametrize(
        ("fps", "frames", "duration_ms"), [(25, 50, 2000), (30, 60, 2000), (30000 / 1001, 60, 2002)]
    )
    def test_duration_ends_with_the_last_frame(
        self, fps: float, frames: int, duration_ms: int
    ) -> None:
        clip = build_clip([video(round(1000 * n / fps)) for n in range(frames)])
        assert clip.duration_ms == duration_ms

    def test_duration_is_that_of_the_longer_track(self) -> None:
        clip = build_clip([video(n * 40) for n in range(25)] + [audio(n * 23) for n in range(50)])
        assert clip.duration_ms == 1150

    def test_one_frame_lasts_something(self) -> None:
        """Or a loop would never get on in time."""
        assert build_clip([video(0)]).duration_ms == 1

    @pytest.mark.parametrize("messages", [[], [METADATA, AVC_HEADER, AAC_HEADER]])
    def test_no_media(self, messages: list[ClipMessage]) -> None:
        with pytest.raises(FlvError, match="no audio and no video"):
            build_clip(messages)

    def test_mp3_and_short_payloads(self) -> None:
        mp3, short = ClipMessage(AUDIO, 0, b"\x2f\x00"), ClipMessage(VIDEO, 0, b"\x17")
        clip: Clip = build_clip([mp3, short])
        assert list(clip.later_rounds) == [mp3, short]


class TestUrl:
    def test_parts(self) -> None:
        target = parse_push_url("rtmp://origin.example:1936/live/room?key=a/b&x=1")
        assert (target.host, target.port, target.uses_tls) == ("origin.example", 1936, False)
        assert target.tc_url == "rtmp://origin.example:1936/live"
        assert target.app == "live"
        assert target.stream_key(None) == "room?key=a/b&x=1"
        assert target.stream_key(2) == "room_2?key=a/b&x=1"

    def test_defaults(self) -> None:
        target = parse_push_url("rtmp://[::1]/a/b/c")
        assert (target.host, target.port, target.app, target.stream) == ("::1", 1935, "a/b", "c")
        assert target.tc_url == "rtmp://[::1]/a/b"
        tls = parse_push_url("rtmps://h/a/b")
        assert (tls.port, tls.uses_tls, tls.tc_url) == (443, True, "rtmps://h/a")

    @pytest.mark.parametrize(
        "url",
        ["", "live/a", "http://h/a/b", "rtmp://h", "rtmp://h/a", "rtmp:///a/b", "rtmp://h:x/a/b",
         "rtmp://h:99999/a/b", "rtmp://[::1/a/b"],
    )  # fmt: skip
    def test_refused(self, url: str) -> None:
        with pytest.raises(PushUrlError, match="not an address to publish to"):
            parse_push_url(url)
