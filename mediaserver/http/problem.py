"""HTTP errors as `application/problem+json` (RFC 9457): bodies as bytes, and the API's exception.

The only place that writes such a body. It sends nothing: `problem_response` makes responses of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

CONTENT_TYPE: Final = "application/problem+json"


class ApiError(Exception):
    """A response of 400 or above that a handler has decided on."""

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        **extra: object,
    ) -> None:
        """Describe the error."""
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra


def problem(status: int, title: str, detail: str, **extra: Any) -> bytes:
    """Return the body of an HTTP error.

    Args:
        title: A few words, the same for every error of this kind.
        detail: One sentence about this one, with the value at fault and the remedy.
        **extra: Members a program can act on, such as `reason`. `type` may be among them;
            without it the type is ``about:blank`` (RFC 9457, 4.2.1).

    Returns:
        One JSON object, UTF-8.
    """
    text = json.dumps(
        _members(status, title, detail, extra), ensure_ascii=False, separators=(",", ":")
    )
    # Header bytes that are no UTF-8 come as lone surrogates, and a detail may quote them.
    return text.encode(errors="replace")


def media_problem(status: int, reason: str, detail: str, **extra: Any) -> bytes:
    """Return the body of a refused media URL: titled by its status, `reason` for programs.

    Returns:
        One JSON object, ASCII, spaced as origin and edges have always sent it.
    """
    title = HTTPStatus(status).phrase
    return json.dumps(_members(status, title, detail, {"reason": reason, **extra})).encode()


def _members(status: int, title: str, detail: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
