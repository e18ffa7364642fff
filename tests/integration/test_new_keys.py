"""A key works from the answer on that shows it."""

import pytest

from tests.support.servers.vilokanam import Server, get, running

pytestmark = pytest.mark.timeout(120)


def test_a_key_is_known_before_its_answer(tmp_path) -> None:
    """A program that makes a stream and publishes at once is not taken for one that guesses keys.

    Who is, waits a quarter of a second; and where no policy came meanwhile, as in the second that
    twenty encoders start, they are told that there is no such stream.
    """
    server = Server(tmp_path)
    with running(server):
        answers = []
        for number in range(10):
            slug = f"new-{number}"
            key = server.api("POST", "streams", {"slug": slug, "title": slug})["stream_key"]
            bearer = {"Authorization": f"Bearer {key}", "Content-Type": "text/plain"}
            answers.append(get(f"{server.url}/{slug}/whip", bearer, "POST")[0])
        rotated = server.api("POST", "streams/new-0/key")["stream_key"]
        bearer = {"Authorization": f"Bearer {rotated}", "Content-Type": "text/plain"}
        answers.append(get(f"{server.url}/new-0/whip", bearer, "POST")[0])
        made = server.api("POST", "keys", {"name": "robot", "scopes": ["streams:read"]})
        bearer = {"Authorization": f"Bearer {made['key']}"}
        listed = get(f"{server.url}/api/v1/streams", bearer)[0]
        figures = get(f"{server.url}/metrics")[1].decode()

    assert answers == [415] * 11
    assert listed == 200
    assert "mediaserver_http_key_refusals_total{" not in figures
