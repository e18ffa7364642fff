"""Bodies of HTTP errors: `application/problem+json` (RFC 9457). Builds bytes, sends nothing."""

from __future__ import annotations

import json
from typing import Any, Final

CONTENT_TYPE: Final = "application/problem+json"


def problem(status: int, title: str, detail: str, **extra: Any) -> bytes:
    """Return the body of an HTTP error.

    Args:
        status: The HTTP status that the answer carries too.
        title: A few words, the same for every error of this kind.
        detail: One sentence about this one, with the value at fault and the remedy.
        **extra: Members a program can act on, such as `reason`. `type` may be among them;
            without it the type is ``about:blank`` (RFC 9457, 4.2.1).

    Returns:
        One JSON object, UTF-8.
    """
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **extra}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # Header bytes that are no UTF-8 come as lone surrogates, and a detail may quote them.
    return text.encode(errors="replace")
