"""The HTTP side of our publisher: FFmpeg's requests, sent on with checked certificates.

FFmpeg's WHIP muxer checks no certificate and tells of a refusal a number only. So it speaks to this
relay on loopback, which adds the stream key, verifies the server, and keeps what the server said.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import secrets
import socket
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 1 << 18
AGENT: Final = "vilokanam-publish (FFmpeg)"
_RETRIED: Final = frozenset({408, 425, 429})
"""Refusals that pass by themselves, as all of 500 and above may."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a session did not come about.

    Attributes:
        text: One sentence, with the address and what to do.
        status: HTTP status of a refusal, 0 without one.
        is_final: Nothing heals it but a person.
    """

    text: str
    status: int = 0
    is_final: bool = False


class Relay:
    """Forwards to one WHIP endpoint, from a port of loopback and an address that nobody guesses.

    Attributes:
        url: What FFmpeg is told to publish to.
        fault: Of the newest offer; None when it was accepted.
        offers: Requests that came from FFmpeg so far.
    """

    def __init__(self, url: str, key: str, *, is_insecure: bool) -> None:
        """Prepare.

        Args:
            is_insecure: Take any certificate of the server.
        """
        self._target = url
        self._key = key
        self._session = ""
        self.fault: Fault | None = None
        self.offers = 0
        context = ssl.create_default_context()
        if is_insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), _NoRedirects
        )
        self._path = f"/{secrets.token_urlsafe(16)}"
        relay = self

        class Handler(_Handler):
            def do_POST(self) -> None:
                relay.answer(self)

            def do_DELETE(self) -> None:
                relay.answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}{self._path}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, asked: _Handler) -> None:
        """Send one request of FFmpeg on, and answer it."""
        body = asked.rfile.read(min(int(asked.headers.get("Content-Length") or 0), 1 << 20))
        is_offer = asked.command == "POST" and asked.path == self._path
        if not is_offer and asked.path != f"{self._path}/session":
            asked.finish_with(404, b"", {})
            return
        url = self._target if is_offer else self._session
        if is_offer:
            self.offers += 1
        try:
            status, headers, text = self._send(asked.command, url, body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if is_offer:
                self.fault = fault_of(self._target, error)
            asked.finish_with(502, b"", {})
            return
        if is_offer:
            self.fault = refusal_of(self._target, status, headers, text)
            self._session = urllib.parse.urljoin(self._target, headers.get("Location", ""))
        kept = {"Content-Type": headers.get("Content-Type", "text/plain")}
        if status == 201:
            kept["Location"] = f"{self.url}/session"
        asked.finish_with(status, text, kept)

    def was_replaced(self) -> bool:
        """Ask whether the session ended because another publisher took the stream over."""
        try:
            status, _, body = self._send("DELETE", self._session, b"")
        except (OSError, http.client.HTTPException, ValueError):
            return False
        return status == 404 and _member(body, "reason") == "replaced"

    def _send(self, method: str, url: str, body: bytes) -> tuple[int, Any, bytes]:
        headers = {"Authorization": f"Bearer {self._key}", "User-Agent": AGENT}
        if method == "POST":
            headers["Content-Type"] = "application/sdp"
        asked = urllib.request.Request(url, body or None, headers, method=method)  # noqa: S310 - the scheme was checked
        try:
            with self._opener.open(asked, timeout=TIMEOUT_S) as answer:
                return answer.status, answer.headers, answer.read(ANSWER_BYTES_MAX)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, error.read(ANSWER_BYTES_MAX)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = TIMEOUT_S

    def finish_with(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """Answer, if the asker still listens."""
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: the publisher's terminal is its user's."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The key goes to the address that was given, and to no other."""

    def redirect_request(self, *_: object) -> None:
        """Leave the answer as it is."""


def refusal_of(url: str, status: int, headers: Any, body: bytes) -> Fault | None:
    """Return what an answer to an offer means, None for 201."""
    if status == 201:
        return None
    if 300 <= status < 400:
        moved = urllib.parse.urljoin(url, headers.get("Location", ""))
        words = f"{url} is no WHIP address: it leads to {moved}; {_form(url)}"
        return Fault(words, status, is_final=True)
    if status < 300:
        words = f"{url} is no WHIP address: it answered {status}; {_form(url)}"
        return Fault(words, status, is_final=True)
    is_final = status < 500 and status not in _RETRIED
    reason = _detail(body) or http.client.responses.get(status, "refused")
    if status in {404, 405}:
        reason += f"; {_form(url)}"
    return Fault(f"{url} answered {status}: {reason}", status, is_final)


def fault_of(url: str, error: Exception) -> Fault:
    """Return why a server was not reached."""
    host = urllib.parse.urlsplit(url).hostname or url
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    match cause:
        case ssl.SSLCertVerificationError():
            why = getattr(cause, "verify_message", cause)
            return Fault(
                f"the certificate of {host} cannot be trusted ({why}); mend it, "
                "or publish with --insecure where anybody may read the stream key",
                is_final=True,
            )
        case ssl.SSLError():
            return Fault(
                f"{host} does not speak TLS there ({getattr(cause, 'reason', cause)})",
                is_final=True,
            )
        case socket.gaierror() if cause.errno == socket.EAI_AGAIN:
            return Fault(f"the name {host} cannot be looked up now ({cause.strerror})")
        case socket.gaierror():
            return Fault(f"there is no host {host} ({cause.strerror})", is_final=True)
        case http.client.RemoteDisconnected():  # as a server or proxy does that ends or restarts
            return Fault(f"{url} closed the connection without an answer")
        case http.client.HTTPException():
            return Fault(f"{url} does not speak HTTP ({type(cause).__name__})", is_final=True)
        case TimeoutError():
            return Fault(f"{url} does not answer within {TIMEOUT_S:.0f} s")
        case _:
            return Fault(f"nobody answers at {url} ({getattr(cause, 'strerror', None) or cause})")


def _detail(body: bytes) -> str:
    return _member(body, "detail") or _member(body, "title")


def _member(body: bytes, name: str) -> str:
    """Return a member of a problem, "" where there is none."""
    try:
        return str(json.loads(body).get(name) or "")
    except (ValueError, AttributeError):
        return ""


def _form(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"a stream's WHIP address is {parts.scheme}://{parts.netloc}/<stream>/whip"
