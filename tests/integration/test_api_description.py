"""What the API is, as a running server tells programs."""

from collections.abc import AsyncIterator

import pytest

from mediaserver.api.operations import openapi
from tests.support.control_server import Server, settings


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    async with Server(tmp_path, settings()) as started:
        yield started


async def test_the_description_is_served_to_everybody_and_may_be_kept(server) -> None:
    """A program finds every route without a key, and a cache may keep that."""
    async with server.http.get(
        "http://c/api/v1/openapi.json", headers={"Authorization": ""}, skip_auto_headers=()
    ) as refused:
        assert refused.status == 401  # a header without a key is a wrong one
    shown = await server.api("GET", "openapi.json")
    async with server.http.get("http://c/llms.txt") as answer:
        text = await answer.text()
        kept, media = answer.headers["Cache-Control"], answer.content_type

    assert shown == openapi.document()
    assert (kept, media) == ("public, max-age=300", "text/plain")
    assert f"{server.tree.server.public_url}/api/v1/openapi.json" in text
    for secret in ("admin.token", "edge.key", "operator.key"):
        assert (server.data_dir / secret).exists()
        assert (server.data_dir / secret).read_bytes().strip() not in text.encode()
