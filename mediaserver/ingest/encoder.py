"""What a publisher's user agent says of its encoder, and what to change there. Pure.

Advice names the setting of the program at hand: who publishes from a browser has no OBS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Encoder(StrEnum):
    """The programs whose settings we know."""

    OBS = "obs"
    BROWSER = "browser"
    FFMPEG = "ffmpeg"
    GSTREAMER = "gstreamer"
    OTHER = "other"


_AGENTS: Final = (
    # OBS calls itself a Mozilla too, so it is looked for first.
    (Encoder.OBS, re.compile(r"OBS-Studio", re.ASCII)),
    (Encoder.FFMPEG, re.compile(r"Lavf/|FFmpeg", re.ASCII | re.IGNORECASE)),
    (Encoder.GSTREAMER, re.compile(r"GStreamer|gst-", re.ASCII | re.IGNORECASE)),
    (Encoder.BROWSER, re.compile(r"Mozilla/", re.ASCII)),
)

KEYFRAMES: Final[Mapping[Encoder, str]] = {
    Encoder.OBS: "in OBS, Settings, Output, Streaming, Keyframe interval: set 2 s",
    Encoder.FFMPEG: "in FFmpeg, encode with -g twice the frame rate (-g 60 at 30 fps)",
    Encoder.GSTREAMER: (
        "in GStreamer, set the encoder's keyframe distance to twice the frame rate (x264enc "
        "key-int-max=60, openh264enc gop-size=60 at 30 fps)"
    ),
    Encoder.BROWSER: (
        "a browser sends one whenever this server asks, so its encoder or its line does not "
        "follow: keep the page in the foreground, or send a smaller picture"
    ),
    Encoder.OTHER: (
        "set the encoder's keyframe interval to 2 s (OBS: Settings, Output, Streaming; x264: "
        "keyint=60 at 30 fps)"
    ),
}
B_FRAMES: Final[Mapping[Encoder, str]] = {
    Encoder.OBS: "in OBS, Settings, Output, Streaming, set B-frames to 0 (x264: bframes=0)",
    Encoder.FFMPEG: "in FFmpeg, encode with -bf 0",
    Encoder.GSTREAMER: "in GStreamer, encode with x264enc bframes=0 or tune=zerolatency",
    Encoder.BROWSER: "in another browser, as this one's encoder cannot be told to leave them out",
    Encoder.OTHER: "set the encoder's B-frames to 0 (x264: bframes=0)",
}
PARAMETER_SETS: Final[Mapping[Encoder, str]] = {
    Encoder.OBS: "x264 option repeat-headers=1",
    Encoder.FFMPEG: "FFmpeg: -bsf:v dump_extra",
    Encoder.GSTREAMER: "GStreamer: rtph264pay config-interval=-1",
    Encoder.BROWSER: "update the browser",
    Encoder.OTHER: (
        "FFmpeg: -bsf:v dump_extra; GStreamer: rtph264pay config-interval=-1; x264: "
        "repeat-headers=1"
    ),
}
COLOR: Final[Mapping[Encoder, str]] = {
    Encoder.OBS: "OBS: Settings, Advanced, Color Format NV12",
    Encoder.FFMPEG: "FFmpeg: -pix_fmt yuv420p",
    Encoder.GSTREAMER: "GStreamer: video/x-raw,format=I420 before the encoder",
    Encoder.BROWSER: "profile 42e01f in the offer",
    Encoder.OTHER: "OBS: Settings, Advanced, Color Format NV12; FFmpeg: -pix_fmt yuv420p",
}
PACKETS: Final[Mapping[Encoder, str]] = {
    Encoder.OBS: "update OBS",
    Encoder.FFMPEG: "update FFmpeg",
    Encoder.GSTREAMER: "put h264parse before rtph264pay",
    Encoder.BROWSER: "update the browser",
    Encoder.OTHER: (
        "update the encoder or the program that sends (GStreamer: put h264parse before rtph264pay)"
    ),
}


def encoder_of(user_agent: str) -> Encoder:
    """Return the program that a user agent names."""
    return next((kind for kind, name in _AGENTS if name.search(user_agent)), Encoder.OTHER)


def obeys_keyframe_requests(user_agent: str) -> bool:
    """Return whether a publisher answers a picture loss indication by a keyframe: browsers do."""
    return encoder_of(user_agent) is Encoder.BROWSER
