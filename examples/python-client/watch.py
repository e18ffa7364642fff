"""A viewer in the standard library: makes an account, pays, watches, and checks the bill.

    python watch.py --server http://127.0.0.1:8080 --admin-token-file data/admin.token cam

Exit code 0 when the receipts name exactly the seconds whose media arrived here, 1 when not.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

PART = re.compile(
    r"#EXT-X-PART:.*"
    r'URI="(?P<uri>(?P<msn>\d+)\.(?P<part>\d+)-(?P<first>\d+)x(?P<count>\d+)\.m4s)"'
)
BOOKED_WITHIN_S = 60
"""Seconds are in a receipt once they are booked: metering.cut_period_s, 10 s by default."""


def main() -> int:
    """Run the example and return its exit code."""
    parser = argparse.ArgumentParser(description="Watch a stream and compare the bill.")
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--admin-token-file", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=20, help="of media to watch")
    parser.add_argument("--planck", default="60000000000", help="to pay in")
    parser.add_argument("stream")
    arguments = parser.parse_args()
    api = Api(arguments.server, arguments.admin_token_file.read_text().strip())

    viewer = api.post("viewers", {"name": f"example-{uuid.uuid4().hex[:8]}"})["account"]
    # The key names the payment: sent again after a lost response, it is booked once.
    api.post(f"viewers/{viewer}/credits", {"planck": arguments.planck}, uuid.uuid4().hex)
    token = api.post("tokens", {"viewer": viewer, "stream": arguments.stream})
    prefix = arguments.server + token["path"]

    seen = watch(prefix, arguments.seconds)
    billed, planck = bill(prefix, seen)

    print(f"watched {len(seen)} seconds, billed {len(billed)} for {planck} planck")
    for what, seconds in (("not billed", seen - billed), ("not seen", billed - seen)):
        if seconds:
            print(f"{what}: {sorted(seconds)}")
    return 0 if seen == billed else 1


class Api:
    """The admin API (docs/api.md): JSON bodies, a bearer token."""

    def __init__(self, server: str, token: str) -> None:
        self._server = server
        self._token = token

    def post(self, path: str, body: dict[str, Any], key: str = "") -> dict[str, Any]:
        """Return the JSON of a response; `key` makes a payment idempotent."""
        request = urllib.request.Request(
            f"{self._server}/api/v1/{path}",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                **({"Idempotency-Key": key} if key else {}),
            },
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
            return answer


def watch(prefix: str, seconds: int) -> set[int]:
    """Fetch `seconds` of the first rendition, part by part as they close; return its ticks.

    Each address says which seconds of the stream it carries: `<msn>.<part>-<first tick>x<count>`.
    """
    playlist = first_rendition(prefix)
    base = playlist.rpartition("/")[0]
    get(f"{base}/{init_of(get(playlist).decode())}")
    seen: set[int] = set()
    at = (-1, -1)
    while len(seen) < seconds:
        # A blocking reload: the server holds it until the part after `at` is there.
        query = f"?_HLS_msn={at[0]}&_HLS_part={at[1] + 1}" if at[0] >= 0 else ""
        parts = list(PART.finditer(get(playlist + query).decode()))
        for match in parts if at[0] >= 0 else parts[-3:]:
            place = (int(match["msn"]), int(match["part"]))
            if place <= at:
                continue
            get(f"{base}/{match['uri']}")
            first = int(match["first"])
            seen.update(range(first, first + int(match["count"])))
            at = place
    return seen


def first_rendition(prefix: str) -> str:
    """Return the address of the first media playlist, which is the best quality."""
    lines = iter(get(f"{prefix}index.m3u8").decode().splitlines())
    for line in lines:
        if line.startswith("#EXT-X-STREAM-INF"):
            return prefix + next(lines)
    raise SystemExit("the stream has no video rendition")


def init_of(playlist: str) -> str:
    """Return the name of the initialization section."""
    match = re.search(r'#EXT-X-MAP:URI="([^"]+)"', playlist)
    if match is None:
        raise SystemExit("the playlist names no initialization section")
    return match[1]


def bill(prefix: str, seen: set[int]) -> tuple[set[int], int]:
    """Return the ticks in the viewer's receipts and what they cost, once they cover `seen`."""
    end = time.monotonic() + BOOKED_WITHIN_S
    while True:
        billed, planck = receipts(prefix)
        if billed >= seen or time.monotonic() > end:
            return billed, planck
        time.sleep(1)


def receipts(prefix: str) -> tuple[set[int], int]:
    """Return the ticks and planck of all receipts until now: none before the first cut."""
    try:
        content = json.loads(get(f"{prefix}receipts"))
    except urllib.error.HTTPError as error:
        if error.code in (404, 422):
            return set(), 0
        raise
    ticks: set[int] = set()
    for receipt in content["receipts"]:
        for line in receipt["lines"]:
            for run in line["runs"].split(","):
                first, count = map(int, run.split("+"))
                ticks.update(range(first, first + count))
    return ticks, sum(int(receipt["amount"]) for receipt in content["receipts"])


def get(url: str) -> bytes:
    """Return the body of a GET; raise for every status but 2xx."""
    with urllib.request.urlopen(url, timeout=30) as response:
        body: bytes = response.read()
        return body


if __name__ == "__main__":
    try:
        sys.exit(main())
    except urllib.error.URLError as error:
        sys.exit(f"the server does not do that: {error.reason}; is --server its address?")
