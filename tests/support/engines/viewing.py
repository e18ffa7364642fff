"""What somebody sees of the watch page in any engine, beside what the playlist lists meanwhile.

The distance from the live edge is measured without the page's help and without a wall clock: the
newest media that was fetched ends where the buffer ends, and the playlist says when that is.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Any, Final

from tests.support.engines.tab import Tab
from tests.support.players import Wire, find_show, list_media
from tests.support.servers.vilokanam import Server

_STATE: Final = "document.documentElement.dataset.state"
_LINE: Final = re.compile(
    r"#EXT-X-PROGRAM-DATE-TIME:(?P<date>\S+)|#EXT-X-PART:(?P<part>.*)|#EXTINF:(?P<segment>[\d.]+)"
)
_DURATION: Final = re.compile(r"DURATION=([\d.]+)")
_PART_URI: Final = re.compile(r'URI="([^"]+)"')
_SIGHT: Final = """(video => {
  const media = performance.getEntriesByType('resource').filter(({name}) => name.endsWith('.m4s'));
  const {buffered} = video;
  return {at: performance.now() / 1000, time: video.currentTime, paused: video.paused,
    muted: video.muted, width: video.videoWidth, state: vilokanam.state,
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    buffered: buffered.length > 0 ? buffered.end(buffered.length - 1) : 0,
    behind: document.querySelector('#behind').textContent,
    newest: media.at(-1)?.name.split('/').at(-1) ?? ''};
})(document.querySelector('video'))"""
LOOK_EVERY_S: Final = 0.2


@dataclass(frozen=True)
class Viewing:
    """What was seen, oldest first.

    Attributes:
        samples: As the page had it: `at` (s), `time` (of the element, s), `state`, `paused` ...
        edges_s: When the newest listed media ended at each sample, Unix seconds of the stream.
        ends_s: When each media object that was listed meanwhile ends, by its name.
    """

    samples: Sequence[dict[str, Any]]
    edges_s: Sequence[float]
    ends_s: dict[str, float]

    def __str__(self) -> str:
        lines = zip(self.samples, self.edges_s, strict=True)
        return "\n".join(f"{sample} edge {edge_s}" for sample, edge_s in lines)

    def behind_s(self, last_s: float) -> float:
        """Return how far the picture was behind the listed edge: the median of the last seconds."""
        # Media that is fetched and not yet in the buffer, or the other way, is rare: the median.
        shift_s = median(
            self.ends_s[sample["newest"]] - sample["buffered"]
            for sample in self.samples
            if sample["newest"] in self.ends_s and sample["buffered"]
        )
        from_s = self.samples[-1]["at"] - last_s
        behind_s: float = median(
            edge_s - (sample["time"] + shift_s)
            for sample, edge_s in zip(self.samples, self.edges_s, strict=True)
            if sample["at"] >= from_s
        )
        return behind_s


def start(tab: Tab, url: str, timeout_s: float) -> None:
    """Open the page and agree to its price where it asks; return when the picture moves."""
    tab.open(url)
    tab.evaluate("performance.setResourceTimingBufferSize(5000)")
    shown = tab.until(f"!['loading', undefined].includes({_STATE}) && {_STATE}", timeout_s)
    if shown == "asking":
        tab.click("#notice-button")
    tab.until(
        "document.querySelector('video').currentTime > 0 && vilokanam.state === 'live'", timeout_s
    )


def view(tab: Tab, server: Server, slug: str, seconds: float) -> Viewing:
    """Look at the page for so long, and at the playlist of its stream at the same moments."""
    samples: list[dict[str, Any]] = []
    edges_s: list[float] = []
    ends_s: dict[str, float] = {}
    with Wire(server.port) as wire:
        show = find_show(wire, f"/{slug}/")
        assert show is not None, slug
        name = next(iter(show.renditions))
        while not samples or samples[-1]["at"] < samples[0]["at"] + seconds:
            samples.append(tab.evaluate(_SIGHT))
            listed = listed_ends_s(list_media(wire, f"/{slug}/", name).text)
            edges_s.append(max(listed.values()))
            ends_s |= listed
            time.sleep(LOOK_EVERY_S)  # between two looks
    return Viewing(samples, edges_s, ends_s)


def listed_ends_s(text: str) -> dict[str, float]:
    """Return when each media object that a playlist lists ends, Unix seconds, by its file's name.

    Source: rfc8216bis, 4.4.4.6 and 4.4.4.9: the date is the next segment's, parts come before it.
    """
    ends_s: dict[str, float] = {}
    segment_s = part_s = duration_s = 0.0
    for line in text.splitlines():
        if found := _LINE.match(line):
            if found["date"]:
                segment_s = part_s = datetime.fromisoformat(found["date"]).timestamp()
            elif found["part"]:
                [length], [uri] = _DURATION.findall(line), _PART_URI.findall(line)
                part_s += float(length)
                ends_s[uri.split("/")[-1]] = part_s
            else:
                duration_s = float(found["segment"])
        elif line and not line.startswith("#"):
            segment_s += duration_s
            part_s = segment_s
            ends_s[line.split("/")[-1]] = segment_s
    return ends_s
