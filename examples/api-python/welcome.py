"""Make a viewer with a deposit and a link to a stream; list the streams: see README.md."""

from __future__ import annotations

import sys

from vilokanam_client import Client, ProblemError


def welcome(client: Client, stream: str, name: str) -> str:
    """Return the address that the viewer watches at; done twice, it pays in once."""
    client.get_streams_slug(stream)  # there is none of a mistyped name: nothing is made or paid
    try:
        client.get_viewers_viewer(name)
    except ProblemError as problem:
        if problem.status != 404:
            raise
        client.post_viewers({"name": name})
    client.post_viewers_viewer_credits(
        name, {"planck": "60000000", "memo": "welcome"}, idempotency_key=f"welcome {name}"
    )
    return client.post_tokens({"viewer": name, "stream": stream})["watch_url"]


def main() -> None:
    """Welcome somebody."""
    url, key, stream, name = sys.argv[1:]
    client = Client(url, key)
    print(welcome(client, stream, name))
    for row in client.each_streams(limit=1):
        print(row["slug"], row["title"])


if __name__ == "__main__":
    main()
