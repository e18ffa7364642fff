"""Opus -> AAC-LC, 48 kHz stereo, on a clock that never stops.

The AAC track is one unbroken row of frames of 1024 samples. Where no sound came (DTX, mute, loss,
no microphone at all) there is silence; sound that comes later than silence that was already made is
cut off; sound whose clock is slewed is resampled so that it stays in step.

Sync. FFmpeg's encoder puts 1024 samples of priming before the first sound and numbers its packets
accordingly (first pts -1024): a packet's pts is where its decoded sound belongs, without any edit
list. So the priming packet is dropped, and all others keep their pts. Opus' own look-ahead (6.5 ms)
is left in: senders disagree about whether their RTP times contain it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av

from mediaserver.media import (
    AAC_FRAME_SAMPLES,
    AUDIO_TIMESCALE,
    AudioFormat,
    Sample,
    Track,
)

_TIME_BASE: Final = Fraction(1, AUDIO_TIMESCALE)
_CHANNELS: Final = 2
_SLEWED_MAX: Final = 240
"""A unit up to 5 ms off is being slewed (1 % of 120 ms is 1.2 ms) and is resampled; more is a hole
or an overlap."""
_HOLE_MAX: Final = 60 * AUDIO_TIMESCALE
"""Longer holes are not filled: the clock begins again after them."""
_AHEAD: Final = 3 * AAC_FRAME_SAMPLES + 64
"""What must be pushed after a position before its AAC comes out: two frames that the encoder looks
ahead, the one that the position is in, and the resampler's own delay (16 samples)."""
_OPUS_SILENCE: Final = b"\xf8\xff\xfe"
"""RFC 6716: one CELT frame of 20 ms at full band, mono, with nothing in it."""
_OPUS_SAMPLES: Final = 960
_WARM_UP_PACKETS: Final = 8
"""160 ms: the first AAC comes out after 65 ms."""
_RESAMPLER: Final = (
    # async: 0 to 2 % of stretch towards the frames' times; hard steps are ours to make.
    "48000:async=960:min_comp=0.0005:comp_duration=0.5:min_hard_comp=1000:flags=res"
    ":out_sample_fmt=fltp:out_chlayout=stereo"
)


class AacMaker:
    """One track of AAC. Not thread-safe: one worker owns it."""

    def __init__(self, audio_kbps: int) -> None:
        self._kbps = audio_kbps
        self._decoder = _opus_decoder()
        self._encoder: Any = None
        self._graph: Any = None
        self._source: Any = None
        self._sink: Any = None
        self._base = 0
        self._next = 0
        self._made = 0

    @property
    def format(self) -> AudioFormat:
        """What comes out; call after `begin`."""
        return AudioFormat(bytes(self._encoder.extradata), _CHANNELS)

    def begin(self, position: int) -> None:
        """Start the clock: the first AAC frame begins at `position` (1/48000 s)."""
        self._base = self._next = self._made = position
        self._encoder = _aac_encoder(self._kbps)
        graph = av.filter.Graph()
        self._source = graph.add(
            "abuffer", "sample_rate=48000:sample_fmt=flt:channel_layout=stereo:time_base=1/48000"
        )
        resample = graph.add("aresample", _RESAMPLER)
        cut = graph.add("asetnsamples", f"n={AAC_FRAME_SAMPLES}:p=0")
        self._sink = graph.add("abuffersink")
        self._source.link_to(resample)
        resample.link_to(cut)
        cut.link_to(self._sink)
        graph.configure()
        self._graph = graph

    def push(self, payload: bytes, time: int) -> Iterator[Sample]:
        """Take one Opus packet that sounds from `time` on; yield the AAC that is complete.

        Raises:
            One of video.CODEC_ERRORS: The packet is broken; silence will take its place.
        """
        if not payload:
            return  # FFmpeg takes an empty packet for the end of the track.
        packet = av.Packet(payload)
        packet.time_base = _TIME_BASE
        for frame in self._decoder.decode(packet):
            yield from self._place(_stereo(frame), time)
            time += frame.samples

    def fill(self, until: int) -> Iterator[Sample]:
        """Yield AAC up to `until`, of silence where nothing came.

        The encoder looks ahead, so silence is laid 65 ms further than that; sound that comes later
        for those 65 ms is lost.
        """
        if until > self._made:
            yield from self._silence(until + _AHEAD - self._next)

    def _place(self, sound: bytes, time: int) -> Iterator[Sample]:
        off = time - self._next
        if off > _HOLE_MAX:
            self.begin(time)
            off = 0
        if off > _SLEWED_MAX:
            yield from self._silence(off)
        elif off < -_SLEWED_MAX:
            sound = sound[-off * _CHANNELS * 4 :]
            time = self._next
        if sound:
            yield from self._feed(sound, time)

    def _silence(self, samples: int) -> Iterator[Sample]:
        while samples > 0:
            count = min(samples, AUDIO_TIMESCALE)
            yield from self._feed(bytes(count * _CHANNELS * 4), self._next)
            samples -= count

    def _feed(self, sound: bytes, time: int) -> Iterator[Sample]:
        count = len(sound) // (_CHANNELS * 4)
        frame = av.AudioFrame(format="flt", layout="stereo", samples=count)
        frame.planes[0].update(sound)
        frame.sample_rate = AUDIO_TIMESCALE
        frame.pts, frame.time_base = time - self._base, _TIME_BASE
        self._next = time + count
        self._source.push(frame)
        while True:
            try:
                ready = self._sink.pull()
            except av.BlockingIOError:
                return
            for packet in self._encoder.encode(ready):
                # The priming packet is from before the beginning.
                if packet.pts >= 0:
                    position = self._base + packet.pts
                    self._made = position + AAC_FRAME_SAMPLES
                    yield Sample(Track.AUDIO, (bytes(packet),), position, is_idr=True)


def warm_up(audio_kbps: int) -> None:
    """Make AAC of Opus once, so that the first sound of a stream finds its code in memory."""
    maker = AacMaker(audio_kbps)
    maker.begin(0)
    for number in range(_WARM_UP_PACKETS):
        for _ in maker.push(_OPUS_SILENCE, number * _OPUS_SAMPLES):
            pass


def _opus_decoder() -> Any:
    context: Any = av.CodecContext.create("libopus", "r")
    context.sample_rate = AUDIO_TIMESCALE
    context.layout = "stereo"
    context.options = {"request_sample_fmt": "flt"}
    return context


def _aac_encoder(kbps: int) -> Any:
    context: Any = av.CodecContext.create("aac", "w")
    context.sample_rate = AUDIO_TIMESCALE
    context.layout = "stereo"
    context.format = "fltp"
    context.bit_rate = kbps * 1000
    context.time_base = _TIME_BASE
    context.open()
    return context


def _stereo(frame: Any) -> bytes:
    """Return a decoded frame as interleaved 32-bit floats."""
    return bytes(memoryview(frame.planes[0])[: frame.samples * _CHANNELS * 4])
