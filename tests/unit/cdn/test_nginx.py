"""What an edge is configured with: the origin's own tables, and nothing that was smuggled in."""

import re
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdn.nginx import Edge, configuration, standalone
from mediaserver.errors import ConfigError
from mediaserver.hls import addresses

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "nginx.conf"
KEY = "edge-key_0123456789"
EDGE = Edge(
    origin="10.0.0.1:8080",
    listen="443",
    server_name="live.example.org",
    tls_certificate="/etc/ssl/live.pem",
    tls_key="/etc/ssl/live.key",
    cache_dir="/var/cache/vilokanam",
    cache_memory_mb=16,
    cache_disk_mb=2048,
    fill_wait_ms=50,
    access_log="/var/log/nginx/vilokanam.log",
    key=KEY,
)
TEXTS = (
    "origin",
    "listen",
    "server_name",
    "tls_certificate",
    "tls_key",
    "cache_dir",
    "access_log",
    "key",
)
HOSTILE = (
    "a; return 200",
    "a b",
    "a}",
    "{",
    "'",
    '"',
    "$host",
    "a\n",
    "\\",
    "#",
    "@key@",
    "ü",
    "~",
)


def test_the_configuration_is_the_one_that_was_read_and_approved() -> None:
    """A change of what edges do is seen in review, line by line."""
    assert configuration(EDGE) == GOLDEN.read_text()


def test_the_whole_file_holds_the_same_server() -> None:
    """What a demo runs is what an operator installs."""
    whole = standalone(EDGE, "/run/edge", "www-data www-data")

    assert textwrap.indent(configuration(EDGE).rstrip(), "    ") in whole
    assert "user www-data www-data;" in whole
    assert "user " not in standalone(EDGE, "/run/edge").partition("events")[0]


def _with(name: str, value: str) -> Edge:
    change: dict[str, Any] = {name: value}
    return replace(EDGE, **change)


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_that_nginx_would_read_as_syntax_is_refused(name: str, value: str) -> None:
    """No setting adds a directive of its own; the key of the table is named."""
    with pytest.raises(ConfigError) as caught:
        configuration(_with(name, value))

    (fault,) = caught.value.faults
    assert fault.startswith(f"edge.{name}: ")


@pytest.mark.parametrize("name", ["origin", "listen", "server_name", "cache_dir", "key"])
def test_an_empty_value_is_refused(name: str) -> None:
    """`proxy_cache_key ;` and an empty secret would be worse than no edge."""
    with pytest.raises(ConfigError):
        configuration(_with(name, ""))


def test_all_faults_are_told_at_once_and_the_key_is_not() -> None:
    """An operator mends the file in one go; a secret stays one."""
    broken = replace(EDGE, listen="8 0", cache_dir="/a;b", key="se cret", tls_key="")
    with pytest.raises(ConfigError) as caught:
        configuration(broken)

    text = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 4
    assert "edge.listen" in text
    assert "edge.cache_dir" in text
    assert "edge.tls_key" in text
    assert "se cret" not in text
    assert KEY not in repr(EDGE)


@pytest.mark.parametrize(("folder", "user"), [("/a b", ""), ("/a;", ""), ("/a", "root; x")])
def test_a_folder_or_user_with_syntax_in_it_is_refused(folder: str, user: str) -> None:
    """The same for the whole file."""
    with pytest.raises(ConfigError):
        standalone(EDGE, folder, user)


def test_an_edge_without_a_certificate_speaks_plain_http() -> None:
    """As behind a TLS proxy; and a log can be turned off."""
    text = configuration(replace(EDGE, tls_certificate="", tls_key="", access_log="off"))

    assert "listen 443;" in text
    assert "ssl" not in text
    assert not re.search(r"access_log (?!off;)", text)


def test_the_key_is_told_to_the_origin_only_where_a_token_was_checked() -> None:
    """Rules 4: fills for tokens, and the question itself; everyone else's is taken away."""
    text = configuration(EDGE)
    blocks = re.findall(
        r"^    location (?:= |~ )?(\S+) \{\n(.*?)^    \}", text, re.MULTILINE | re.DOTALL
    )
    fills = f"X-Vilokanam-Edge '{KEY}'"
    with_key = {name for name, body in blocks if fills in body}
    patterns = addresses.patterns()
    token = patterns["token"]

    assert with_key == {
        "/_vilokanam/authorise",
        f'"^/w/{token}(?<vk_segment>{patterns["segment"]})$"',
        f'"^/w/{token}(?<vk_part>{patterns["part"]})$"',
    }
    for name, body in blocks:
        own_headers = re.findall(r"proxy_set_header (\S+)", body)
        assert not own_headers or "X-Vilokanam-Edge" in own_headers, name
        if fills in body and "internal" not in body:
            assert "auth_request /_vilokanam/authorise;" in body


def test_a_m5_every_request_tells_who_asks() -> None:
    """Bounds at the origin are the viewer's own, not the edge's; a viewer's words are dropped."""
    text = configuration(EDGE)
    server = text[text.index("server {") : text.index("    location ")]
    blocks = re.findall(r"^    location .*? \{\n(.*?)^    \}", text, re.MULTILINE | re.DOTALL)

    for body in (server, *(body for body in blocks if "proxy_set_header" in body)):
        assert "proxy_set_header X-Forwarded-For $remote_addr;" in body
        assert "proxy_set_header Forwarded '';" in body
        assert f"proxy_set_header X-Vilokanam-Via '{KEY}';" in body


def test_no_name_of_a_place_is_left_in_the_text() -> None:
    """Every value has found its place."""
    names = {"@as_asked", "@away", "@no_directive"}
    assert set(re.findall(r"@\w+@?", standalone(EDGE, "/run/edge"))) == names
