"""What the publisher makes of a server's answers and silences: C4, C5, C6."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error

import pytest

from mediaserver.whip_client.relay import fault_of, refusal_of

URL = "https://live.example.org/cam/whip"


@pytest.mark.parametrize(
    ("cause", "is_final", "words"),
    [
        (ssl.SSLCertVerificationError(1, "expired"), True, "--insecure"),
        (ssl.SSLError(1, "WRONG_VERSION_NUMBER"), True, "does not speak TLS"),
        (socket.gaierror(socket.EAI_NONAME, "not known"), True, "no host live.example.org"),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), False, "cannot be looked up now"),
        (ConnectionRefusedError(111, "Connection refused"), False, "Connection refused"),
        (TimeoutError(), False, "does not answer within"),
        (http.client.BadStatusLine("SSH-2.0"), True, "does not speak HTTP"),
        (http.client.RemoteDisconnected("closed"), False, "closed the connection"),
    ],
)
def test_c5_only_what_heals_by_itself_is_tried_again(cause, is_final, words):
    """A server that is away comes back; a name that is not there does not."""
    fault = fault_of(URL, urllib.error.URLError(cause) if isinstance(cause, OSError) else cause)

    assert fault.is_final is is_final
    assert words in fault.text


@pytest.mark.parametrize(
    ("status", "is_final"),
    [(200, True), (308, True), (401, True), (404, True), (422, True), (429, False), (503, False)],
)
def test_c5_refusals_that_pass_are_tried_again(status, is_final):
    fault = refusal_of(URL, status, {"Location": "https://else.example.org/"}, b"")

    assert fault is not None
    assert fault.is_final is is_final
    assert fault.status == status


def test_c6_words_of_the_server_are_told():
    """What it says is worth more than a number; other bodies do no harm."""
    fault = refusal_of(URL, 404, {}, b'{"detail": "there is no such stream"}')
    other = refusal_of(URL, 500, {}, b"[]")

    assert fault is not None
    assert "404: there is no such stream; a stream's WHIP address is https://live" in fault.text
    assert other is not None
    assert "Internal Server Error" in other.text


def test_accepted_offer_is_no_fault():
    assert refusal_of(URL, 201, {}, b"") is None
