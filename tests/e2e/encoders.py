"""Commands of real encoders that publish over RTMP."""

from __future__ import annotations

from tests.e2e.clients import CLIP, require_elements, require_program

_FFMPEG = ("-hide_banner", "-nostats", "-loglevel", "warning")
_PICTURE = ("-f", "lavfi", "-re", "-i", "testsrc2=size=320x180:rate=25")
_TONE = ("-f", "lavfi", "-re", "-i", "sine=frequency=440:sample_rate=44100")
# A keyframe every second, B-frames as OBS makes them.
_H264 = (
    *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p"),
    *("-g", "25", "-keyint_min", "25", "-sc_threshold", "0", "-b:v", "300k"),
)
_AAC = ("-c:a", "aac", "-b:a", "96k", "-ac", "2")


def _ffmpeg(*arguments: str) -> list[str]:
    return [require_program("ffmpeg", "ffmpeg"), *_FFMPEG, *arguments]


def ffmpeg_clip(rtmp_url: str) -> list[str]:
    """The demo clip, 1280x720 with B-frames and 48 kHz AAC, over and over, not encoded again."""
    loop = ("-re", "-stream_loop", "-1", "-i", str(CLIP))
    return _ffmpeg(*loop, "-c", "copy", "-f", "flv", rtmp_url)


def ffmpeg_live(rtmp_url: str) -> list[str]:
    """Encodes 320x180 H.264 with B-frames and 44.1 kHz AAC."""
    return _ffmpeg(*_PICTURE, *_TONE, *_H264, *_AAC, "-f", "flv", rtmp_url)


def ffmpeg_video_only(rtmp_url: str) -> list[str]:
    """Encodes H.264 and nothing else."""
    return _ffmpeg(*_PICTURE, *_H264, "-f", "flv", rtmp_url)


def ffmpeg_audio_only(rtmp_url: str) -> list[str]:
    """Encodes AAC and nothing else."""
    return _ffmpeg(*_TONE, *_AAC, "-f", "flv", rtmp_url)


def ffmpeg_mp3(rtmp_url: str) -> list[str]:
    """Encodes H.264 and MP3."""
    mp3 = ("-c:a", "libmp3lame", "-b:a", "128k", "-ac", "2")
    return _ffmpeg(*_PICTURE, *_TONE, *_H264, *mp3, "-f", "flv", rtmp_url)


def ffmpeg_he_aac(rtmp_url: str) -> list[str]:
    """Encodes H.264 and HE-AAC (needs libfdk_aac)."""
    he_aac = ("-c:a", "libfdk_aac", "-profile:a", "aac_he", "-b:a", "48k", "-ac", "2")
    return _ffmpeg(*_PICTURE, *_TONE, *_H264, *he_aac, "-f", "flv", rtmp_url)


def gstreamer_live(rtmp_url: str, sink: str) -> list[str]:
    """Encodes 320x180 H.264 and AAC; ``sink`` is rtmp2sink or rtmpsink (librtmp)."""
    require_elements("gstreamer1.0-plugins-ugly", "x264enc")
    require_elements("gstreamer1.0-plugins-good", "flvmux")
    require_elements("gstreamer1.0-plugins-bad", sink, "h264parse")
    require_elements("gstreamer1.0-libav", "avenc_aac")
    pipeline = (
        "videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=180,framerate=25/1"
        " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 bitrate=300"
        " ! h264parse ! queue ! mux."
        " audiotestsrc is-live=true wave=ticks ! audio/x-raw,rate=48000,channels=2"
        " ! avenc_aac bitrate=96000 ! aacparse ! queue ! mux."
        f" flvmux name=mux streamable=true ! {sink} location={rtmp_url}"
    )
    gst_launch = require_program("gst-launch-1.0", "gstreamer1.0-tools")
    return [gst_launch, "--quiet", *pipeline.split()]
