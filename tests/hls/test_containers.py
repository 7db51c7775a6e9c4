"""hls.containers: which container a stream is written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from hlsorigin.codecs.opus import stereo_config
from hlsorigin.errors import Unsupported
from hlsorigin.fmp4.muxer import Fmp4Muxer
from hlsorigin.hls.containers import AUTO, Containers
from hlsorigin.hls.muxer import Muxer
from hlsorigin.media.track import MediaKind, Track
from hlsorigin.mpegts.muxer import TsMuxer
from tests.support.media import audio_track, video_track

FACTORIES: Mapping[str, Callable[[], Muxer]] = {"mpegts": TsMuxer, "fmp4": Fmp4Muxer}
OPUS = Track(2, MediaKind.AUDIO, stereo_config())


def test_auto_takes_mpegts_where_it_carries_every_track() -> None:
    containers = Containers(FACTORIES, AUTO)
    assert containers.name is None
    assert containers.extension == ""
    containers.settle([video_track(), audio_track()])
    assert containers.extension == "ts"


def test_auto_takes_fmp4_for_the_rest_and_stays_with_it() -> None:
    containers = Containers(FACTORIES, AUTO)
    containers.settle([video_track(), OPUS])
    containers.settle([video_track(), audio_track()])
    assert containers.extension == "m4s"


def test_what_cannot_be_carried_is_refused_with_advice() -> None:
    containers = Containers(FACTORIES, "mpegts")
    with pytest.raises(Unsupported, match=r'hls\.container = "fmp4" or "auto" carries it'):
        containers.check_track(OPUS)
    containers.check_track(audio_track())


def test_nothing_is_refused_before_the_choice() -> None:
    Containers(FACTORIES, AUTO).check_track(OPUS)


def test_each_rendition_has_one_muxer() -> None:
    containers = Containers(FACTORIES, "fmp4")
    assert containers.muxer("v0") is containers.muxer("v0")
    assert containers.muxer("v0") is not containers.muxer("a0")


@pytest.mark.parametrize(("extension", "name"), [("ts", "mpegts"), ("m4s", "fmp4"), ("", None)])
def test_an_earlier_process_chose_already(extension: str, name: str | None) -> None:
    containers = Containers(FACTORIES, AUTO)
    containers.settle_by_extension(extension)
    assert containers.name == name
