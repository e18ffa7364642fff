"""What the clients in other programs can call, and what they do when the server is busy."""

import importlib.util
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mediaserver.api.clients import calls, python, typescript
from mediaserver.api.operations import openapi
from mediaserver.api.operations.table import OPERATIONS

DOCUMENT = openapi.document()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The module that is made, imported."""
    path = tmp_path_factory.mktemp("client") / "vilokanam_client.py"
    path.write_text(python.text(DOCUMENT))
    spec = importlib.util.spec_from_file_location("vilokanam_client", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Scripted(HTTPServer):
    """Answers each request with the next status; keeps what came."""

    def __init__(self, *statuses: int, answer: object = None, retry_after: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.retry_after = retry_after
        self.answer = {} if answer is None else answer
        self.came: list[tuple[str, str, str | None]] = []
        self.thread = threading.Thread(target=self.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Scripted

    def do_GET(self) -> None:
        self.server.came.append((self.command, self.path, self.headers.get("Idempotency-Key")))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = self.server.statuses.pop(0)
        raw = json.dumps(self.server.answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if self.server.retry_after:
            self.send_header("Retry-After", self.server.retry_after)
        self.send_header("Location", "http://127.0.0.1:9/")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_POST = do_GET  # noqa: N815 -- as the library calls it

    def log_message(self, *_: object) -> None: ...


def test_every_route_for_programs_is_a_call_of_its_own_name() -> None:
    """Only what providers send, and what is text for readers, is none."""
    made = list(calls.calls(DOCUMENT))

    assert len({call.name for call in made}) == len(made)
    missing = {row.line for row in OPERATIONS} - {f"{call.method} {call.path}" for call in made}
    assert missing == {
        "POST /hooks/payments/{provider}",
        "GET /llms.txt",
        "GET /api/v1/sign-in/oidc/{issuer}/back",
    }


def test_every_list_that_goes_on_has_its_iterator() -> None:
    """A row of the list, not of what is beside it."""
    pages = {call.path: call.page for call in calls.calls(DOCUMENT) if call.page}

    assert len(pages) > 25
    assert pages["/api/v1/streams/{slug}/guests"].field == "guests"
    assert pages["/api/v1/usage"].field == "usage"


def test_the_typescript_client_has_the_same_calls() -> None:
    """One model, two languages."""
    text = typescript.text(DOCUMENT)

    assert "// made:" not in text
    assert text.count("  async *each") == python.text(DOCUMENT).count("    def each_")
    assert text.count("return this.call({") == len(list(calls.calls(DOCUMENT)))


def test_what_moves_money_is_asked_again_with_its_key(client, monkeypatch) -> None:
    """A busy server gets the same key, so that the deposit is booked once."""
    waits: list[float] = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    with Scripted(503, 429, 201) as server:
        client.Client(server.url, "key").post_viewers_viewer_credits("a/b", {"planck": "1"})

    assert {path for _, path, _ in server.came} == {"/api/v1/viewers/a%2Fb/credits"}
    keys = [key for _, _, key in server.came]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert keys[0]
    assert waits == [1.0, 1.0]


def test_a_server_that_is_away_for_some_seconds_is_asked_again(client, monkeypatch) -> None:
    """It says "try again in a second" while its control begins anew."""
    waits: list[float] = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    with Scripted(*[503] * 6, 200, answer={"streams": []}) as server:
        assert client.Client(server.url).get_streams() == {"streams": []}

    assert waits == [1.0] * 6


def test_who_says_to_wait_long_is_not_waited_for_without_end(client, monkeypatch) -> None:
    """Retry-After is kept, and a program is not held for eight times that."""
    waits: list[float] = []
    monkeypatch.setattr(client.time, "sleep", waits.append)
    with Scripted(*[503] * 8, retry_after="25") as server, pytest.raises(client.ProblemError):
        client.Client(server.url).get_streams()

    assert waits == [25.0, 25.0, 25.0]


@pytest.mark.parametrize("status", [503, 429])
def test_what_may_not_be_repeated_is_asked_once(client, status) -> None:
    """Nobody knows whether it was done."""
    with Scripted(status) as server, pytest.raises(client.ProblemError) as refused:
        client.Client(server.url).post_streams({"slug": "cam"})

    assert refused.value.status == status
    assert len(server.came) == 1


def test_a_key_is_not_sent_on(client) -> None:
    """A server that answers with another's address does not make us send our key there."""
    with Scripted(302) as server, pytest.raises(client.ProblemError) as refused:
        client.Client(server.url, "key").get_streams()

    assert refused.value.status == 302


def test_pages_follow_each_other_to_the_end(client) -> None:
    """From the cursor of each answer; an answer that repeats its cursor is the end."""
    page = {"viewers": [{"name": "a"}], "next_after": "x"}
    with Scripted(200, 200, answer=page) as server:
        rows = list(client.Client(server.url).each_viewers(limit=1))

    assert [row["name"] for row in rows] == ["a", "a"]
    assert [path for _, path, _ in server.came] == [
        "/api/v1/viewers?limit=1",
        "/api/v1/viewers?after=x&limit=1",
    ]
