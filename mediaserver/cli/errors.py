"""How a command fails: one line for the user, and an exit code."""

from __future__ import annotations

from typing import Final

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


class CliError(Exception):
    """The message for the user, in one line, and the exit code."""

    def __init__(self, message: str, code: int = EXIT_FAILED) -> None:
        self.code = code
        super().__init__(message)
