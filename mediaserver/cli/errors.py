"""How a command fails: one line for the user, one JSON object for a script, and an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2


class CliError(Exception):
    """The message for the user, in one line, and the exit code.

    Attributes:
        problem: The server's answer, where one refused: members of RFC 9457.
    """

    def __init__(
        self,
        message: str,
        code: int = EXIT_FAILED,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.problem = dict(problem or {})
        super().__init__(message)


def tell(
    lines: Sequence[str], code: int, *, as_json: bool, problem: Mapping[str, Any] | None = None
) -> int:
    """Write why a command failed on standard error; return its exit code.

    Args:
        lines: One for each fault.
        as_json: One object in place of the lines: `title`, `detail`, `exit_code`, the `faults`
            when there are several, and all that the server said.
    """
    if as_json:
        shown = {"title": "Command failed", "detail": "; ".join(lines), **(problem or {})}
        if len(lines) > 1:
            shown["faults"] = list(lines)
        sys.stderr.write(json.dumps({**shown, "exit_code": code}) + "\n")
    else:
        sys.stderr.writelines(f"vilokanam: {line}\n" for line in lines)
    return code
