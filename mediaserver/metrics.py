"""Metrics of this process, as text, and the texts of several processes as one.

Every process keeps its own registry in memory and answers ``GET /internal/metrics`` on its unix
socket with `own_text`, where each sample carries the label ``process``. Whichever HTTP process is
asked for ``/metrics`` gathers the others' texts (mediaserver/processes/metrics_endpoint.py) and
answers with `merge`: no files shared between processes, and nothing remains of one that is
gone.

Names are ``<package>_<room>_<thing>_<unit>``; no viewer and no stream is ever in a label.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
TEXT_BYTES_MAX: Final = 4 << 20
"""What is read of one process: a registry of ours is some 20 kB."""


def own_text(process: str, registry: CollectorRegistry = REGISTRY) -> str:
    """Return this process's metrics in Prometheus's text format, each with its ``process``."""
    labelled = CollectorRegistry(auto_describe=False)
    labelled.register(_Labelled(process, registry))
    return generate_latest(labelled).decode()


def merge(texts: Iterable[str]) -> str:
    """Return one exposition of several: a family's samples are together under one heading.

    The text format allows one HELP and one TYPE line for a name, so texts cannot simply be joined.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for text in texts:
        name = ""
        for line in text.splitlines():
            if line.startswith("# "):
                _, _, name, *_ = line.split(" ", 3)
                head = heads.setdefault(name, [])
                if line not in head and not any(known[:6] == line[:6] for known in head):
                    head.append(line)
                samples.setdefault(name, [])
            elif line and name:
                samples[name].append(line)
    return "".join(f"{line}\n" for name in heads for line in (*heads[name], *samples[name]))


class _Labelled:
    """Collects another registry and adds the label ``process`` to every sample."""

    def __init__(self, process: str, registry: CollectorRegistry) -> None:
        self._process = process
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """Yield the families with their samples labelled."""
        for family in self._registry.collect():
            copy = Metric(family.name, family.documentation, family.type, family.unit)
            copy.samples = [
                Sample(s.name, {**s.labels, "process": self._process}, s.value, s.timestamp)
                for s in family.samples
                # When a counter began is no figure of ours: `process_start_time_seconds` says it.
                if not s.name.endswith("_created")
            ]
            yield copy
