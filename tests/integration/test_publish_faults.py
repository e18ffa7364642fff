"""`vilokanam publish`: what it tells, what ends it, and whom it gives the key to (C4 to C8)."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mediaserver.errors import AccessDeniedError, PublishError
from mediaserver.whip_client import session_process
from mediaserver.whip_client.client import publish_file, publish_test_picture
from tests.support.audience import open_stream
from tests.support.servers.vilokanam import ROOT, Server, running, until


class Answering:
    """A web server that answers each request alike, and keeps the keys that it was given."""

    def __init__(self, status: int, body: bytes = b"", context: ssl.SSLContext | None = None):
        self.keys: list[str | None] = []
        answering = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                answering.keys.append(self.headers["Authorization"])
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://localhost:{self._server.server_port}/cam/whip"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(tz=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_c4_key_is_not_sent_to_a_server_whose_certificate_nobody_vouches_for(tmp_path, stop):
    """Somebody in between learns nothing; the message says how to choose otherwise."""
    with Answering(401, context=self_signed(tmp_path)) as server:
        with pytest.raises(PublishError, match=r"certificate of localhost .* --insecure"):
            publish_test_picture(server.url, "secret", stop, 320, 180)

        assert server.keys == []


def test_c4_insecure_is_a_choice(tmp_path, stop):
    """With it the key is sent, whatever the certificate."""
    with Answering(401, context=self_signed(tmp_path)) as server:
        with pytest.raises(AccessDeniedError, match="401"):
            publish_test_picture(server.url, "secret", stop, 320, 180, is_insecure=True)

        assert server.keys == ["Bearer secret"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("notes.txt", "no media at all\n", "no media that FFmpeg knows"),
        ("x.srt", "1\n00:00:00,000 --> 00:00:01,000\nhello\n", "neither picture nor sound"),
    ],
)
def test_c5_file_without_media_ends_it(tmp_path, stop, name, text, words):
    """It is named once, and nothing is repeated."""
    file = tmp_path / name
    file.write_text(text)
    with Answering(503) as server, pytest.raises(PublishError, match=f"{name} .*{words}"):
        publish_file(file, server.url, "secret", stop)

    assert server.keys == []


@pytest.mark.parametrize(
    "address",
    ["ftp://localhost/cam/whip", "localhost/cam/whip"],
)
def test_c5_address_that_nobody_can_have_ends_it(stop, address):
    with pytest.raises(PublishError, match=r"no WHIP address"):
        publish_test_picture(address, "secret", stop, 320, 180)


def test_c5_fault_is_told_once_while_it_is_tried_again(stop):
    """A server that starts is waited for, and does not fill the screen."""
    lines: list[tuple[str, bool]] = []
    with Answering(503, b'{"title": "Starting", "detail": "starting; retry"}') as server:

        def enough():
            until(lambda: len(server.keys) >= 3, "three tries", 60)
            stop.set()

        waiting = threading.Thread(target=enough)
        waiting.start()
        publish_test_picture(
            server.url, "secret", stop, 320, 180, tell=lambda line, bad: lines.append((line, bad))
        )
        waiting.join()

    assert [bad for _, bad in lines] == [True]
    assert "starting; retry" in lines[0][0]


def test_c6_unknown_stream_is_told_in_the_servers_words(stop):
    """No number of FFmpeg, and not "the stream key"."""
    body = json.dumps({"title": "No such stream", "detail": "there is no such stream"}).encode()
    with Answering(404, body) as server, pytest.raises(PublishError) as caught:
        publish_test_picture(server.url, "secret", stop, 320, 180)

    assert "there is no such stream" in str(caught.value)
    assert "key" not in str(caught.value)
    assert "Errno" not in str(caught.value)


@contextlib.contextmanager
def publish(server: Server, source: str, key: str) -> Iterator[subprocess.Popen[str]]:
    """Run the command as a terminal does: in a process group of its own."""
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "mediaserver.cli.main", "publish", source),
            f"{server.url}/cam/whip",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "VILOKANAM_STREAM_KEY": key},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("form", "is_copied"), [("yuv420p", True), ("yuv422p", False), ("yuv444p", False)]
)
def test_c5_picture_that_no_browser_shows_is_encoded(tmp_path, form, is_copied):
    """A screen recording in 4:4:4 goes live as a picture that viewers see."""
    file = tmp_path / "screen.mp4"
    with av.open(str(file), "w") as out:
        video = out.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 320, 180, form
        video.options = {"bf": "0", "tune": "zerolatency", "preset": "ultrafast"}
        for number in range(3):
            frame = av.VideoFrame(320, 180, form)
            frame.pts = number
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    with av.open(str(tmp_path / "sent.mkv"), "w") as sent:
        source = session_process._FileSource(
            session_process._Output(sent), {"path": str(file), "is_looped": False}
        )
        sent.start_encoding()
        source.play(threading.Event())

    with av.open(str(tmp_path / "sent.mkv")) as seen:
        assert seen.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert [track._is_copied for track in source._tracks.values()] == [is_copied]


def write_mono(path: Path) -> None:
    """Write four seconds of mono Opus, which FFmpeg's muxer does not take as it is."""
    with av.open(str(path), "w") as out:
        audio = out.add_stream("libopus", rate=48_000)
        audio.layout = "mono"
        for number in range(200):
            frame = av.AudioFrame(format="flt", layout="mono", samples=960)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.sample_rate, frame.pts = 48_000, number * 960
            out.mux(audio.encode(frame))
        out.mux(audio.encode(None))


def test_c5_c7_c8_mono_is_published_told_and_ended_quietly(tmp_path):
    """It tells where and at what rate; Ctrl-C reaches all processes of a terminal's group."""
    write_mono(tmp_path / "mono.mkv")
    with running(Server(tmp_path)) as server:
        key = open_stream(server, "cam", "0")
        with publish(server, str(tmp_path / "mono.mkv"), key) as process:
            assert process.stdout is not None
            live, rate = (process.stdout.readline() for _ in range(2))
            state = server.api("GET", "streams/cam")["health"]["state"]
            os.killpg(process.pid, signal.SIGINT)
            rest, errors = process.communicate(timeout=20)
        until(lambda: '"reason": "deleted"' in server.log.read_text(), "DELETE")

    assert live == f"live at {server.url}/cam/\n"
    assert rate.startswith("0:00:0")
    assert rate.endswith("kbit/s\n")
    assert state == "live"
    assert (rest, errors, process.returncode) == ("", "", 0)


def test_c5_who_is_taken_over_ends_and_says_by_whom(tmp_path):
    """Two publishers with one key took the stream from each other, and blamed the line."""
    with running(Server(tmp_path)) as server:
        key = open_stream(server, "cam", "0")
        with publish(server, "testsrc", key) as first:
            assert first.stdout is not None
            assert first.stdout.readline().startswith("live at")
            with publish(server, "testsrc", key) as second:
                assert second.stdout is not None
                assert second.stdout.readline().startswith("live at")
                _, errors = first.communicate(timeout=30)
                assert second.poll() is None
                os.killpg(second.pid, signal.SIGINT)
                second.communicate(timeout=20)

    assert first.returncode == 1
    assert "another publisher took" in errors
    assert "end that one" in errors
    assert "connection to the server was lost" not in errors
