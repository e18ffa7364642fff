"""One page in any browser engine, driven as its own protocol has it: what all drivers share."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from tests.support.servers.vilokanam import until


class Tab(ABC):
    """A page, opened with the browser's own defaults; scripts and clicks go through the driver."""

    @abstractmethod
    def open(self, url: str) -> None:
        """Open a page, and return when its document is there."""

    @abstractmethod
    def run(self, script: str) -> str:
        """Return the string that an expression comes to."""

    @abstractmethod
    def click(self, selector: str) -> None:
        """Click an element as a person does, with the pointer."""

    @abstractmethod
    def complaints(self) -> list[str]:
        """Return the errors and warnings that the console shows."""

    def evaluate(self, script: str) -> Any:
        """Return what an expression comes to."""
        return json.loads(self.run(f"JSON.stringify(({script}) ?? null)"))

    def until(self, script: str, timeout_s: float) -> Any:
        """Return the value of an expression once it is true."""
        return until(lambda: self.evaluate(script), script, timeout_s)
