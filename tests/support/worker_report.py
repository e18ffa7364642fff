"""What a worker reports to control, for tests of either."""

from collections.abc import Mapping
from typing import Any


def report(
    stream: Mapping[str, Any] | None = None, name: str = "w1", **fields: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "pid": 1,
        "socket": f"worker-{name}.sock",
        "stream": stream["id"].replace("-", "") if stream else None,
        "slug": stream["slug"] if stream else None,
        "show": 5 if stream else None,
        "state": "live" if stream else "idle",
        "facts": {"video_kbps": 900.5},
        "advice": ["send a key frame every 2 s"],
        **fields,
    }
