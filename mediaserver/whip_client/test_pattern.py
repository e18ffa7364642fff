"""The test picture and its tone: bars, a wall clock with milliseconds, a moving block, a beep.

Drawn into one frame in place, as only a tenth of it changes: that costs almost nothing, and neither
does encoding it. On each full second the band flashes and the beep sounds, so that sync can be seen
and heard.
"""

from __future__ import annotations

import array
import math
import time
from typing import Any, Final

import av

SAMPLE_RATE: Final = 48_000
SOUND_SAMPLES: Final = 960
"""20 ms: Opus' usual packet."""
FLASH_MS: Final = 100
_HUM_HZ, _HUM_LEVEL = 440, 0.03
_BEEP_HZ, _BEEP_LEVEL = 1000, 0.3
_BLACK, _WHITE, _GREY, _NEUTRAL = 16, 235, 90, 128
_GLYPH_ROWS: Final = 7
_GLYPHS: Final = {
    # Seven rows of five dots, the leftmost the highest bit.
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    ":": (0, 4, 4, 0, 4, 4, 0),
    ".": (0, 0, 0, 0, 0, 12, 12),
}
_TEXT_LENGTH: Final = len("00:00:00.000")


class TestPicture:
    """A moving picture of one size, drawn anew for each instant."""

    __test__ = False  # It is no test of pytest's.

    def __init__(self, width: int, height: int) -> None:
        self._frame = _bars(width, height)
        self._width, self._height = width, height
        self._dot = max(2, min(width // (6 * _TEXT_LENGTH + 12), height // 40) & ~1)
        text_width = self._dot * 6 * _TEXT_LENGTH
        self._text_left = (width - text_width) // 4 * 2
        self._text_top = height // 6 * 2
        self._rows = {
            char: tuple(_glyph_row(row, self._dot) for row in rows)
            for char, rows in _GLYPHS.items()
        }
        self._band_top = height * 3 // 4 // 2 * 2
        self._band_rows = max(2, height // 12 // 2 * 2)
        margin = self._dot * 2
        self._grey(
            self._text_left - margin,
            self._text_top - margin,
            text_width + 2 * margin,
            _GLYPH_ROWS * self._dot + 2 * margin,
        )
        self._grey(0, self._band_top, width, self._band_rows)

    def draw(self, unix_ms: int) -> Any:
        """Return the frame of this instant; it is drawn over by the next call."""
        plane = self._frame.planes[0]
        luma, line = memoryview(plane), plane.line_size
        text = time.strftime("%H:%M:%S", time.gmtime(unix_ms // 1000)) + f".{unix_ms % 1000:03d}"
        for row in range(_GLYPH_ROWS):
            dots = b"".join([self._rows[char][row] for char in text])
            top = self._text_top + row * self._dot
            for y in range(top, top + self._dot):
                start = y * line + self._text_left
                luma[start : start + len(dots)] = dots
        is_flash = unix_ms % 1000 < FLASH_MS
        block = self._band_rows
        left = (self._width - block) * abs(unix_ms % 4000 - 2000) // 2000
        ground = bytes([_GREY if is_flash else _BLACK])
        band = ground * left + bytes([_WHITE]) * block + ground * (self._width - block - left)
        for y in range(self._band_top, self._band_top + block):
            luma[y * line : y * line + self._width] = band
        return self._frame

    def _grey(self, left: int, top: int, width: int, height: int) -> None:
        """Paint a box black and take its colour away."""
        for index, plane in enumerate(self._frame.planes):
            shift = 1 if index else 0
            pixels, line = memoryview(plane), plane.line_size
            first, count = max(0, left) >> shift, min(width, self._width) >> shift
            value = bytes([_NEUTRAL if index else _BLACK]) * count
            for y in range(max(0, top) >> shift, min(self._height, top + height) >> shift):
                pixels[y * line + first : y * line + first + count] = value


class Tone:
    """One second of sound, over and over, with a beep on each full second."""

    def __init__(self) -> None:
        self._second = array.array("f")
        for at in range(SAMPLE_RATE):
            value = _HUM_LEVEL * math.sin(2 * math.pi * _HUM_HZ * at / SAMPLE_RATE)
            if at < SAMPLE_RATE * FLASH_MS // 1000:
                value += _BEEP_LEVEL * math.sin(2 * math.pi * _BEEP_HZ * at / SAMPLE_RATE)
            self._second.extend((value, value))

    def frame(self, position: int) -> Any:
        """Return `SOUND_SAMPLES` samples from `position` (1/48000 s of Unix time) on."""
        first = position % SAMPLE_RATE * 2
        sound = self._second[first : first + 2 * SOUND_SAMPLES]
        sound += self._second[: 2 * SOUND_SAMPLES - len(sound)]
        frame = av.AudioFrame(format="flt", layout="stereo", samples=SOUND_SAMPLES)
        frame.planes[0].update(sound.tobytes())
        frame.sample_rate = SAMPLE_RATE
        return frame


def _bars(width: int, height: int) -> Any:
    graph = av.filter.Graph()
    source = graph.add("smptehdbars", f"size={width}x{height}:rate=1")
    convert = graph.add("format", "pix_fmts=yuv420p")
    sink = graph.add("buffersink")
    source.link_to(convert)
    convert.link_to(sink)
    graph.configure()
    frame: Any = sink.pull()
    # A frame of our own to draw into, not the filter's.
    own = av.VideoFrame(width, height, "yuv420p")
    for mine, theirs in zip(own.planes, frame.planes, strict=True):
        rows = memoryview(theirs)
        target = memoryview(mine)
        for y in range(mine.height):
            target[y * mine.line_size : y * mine.line_size + mine.width] = rows[
                y * theirs.line_size : y * theirs.line_size + mine.width
            ]
    return own


def _glyph_row(dots: int, size: int) -> bytes:
    """Return one row of a character: five dots and a space, each `size` pixels wide."""
    values = [_WHITE if dots >> (4 - index) & 1 else _BLACK for index in range(5)]
    return b"".join(bytes([value]) * size for value in (*values, _BLACK))
