"""The origin's address and cache tables as an nginx configuration.

The exact edge in its simplest form: bytes are cached once under the path without the viewer's
token, and every request for media is claimed at the origin by a subrequest (`auth_request`) before
a byte leaves the cache. Exact to the tick, at the price of one subrequest for each object (rules 4;
docs/edge.md). Settings in, text out: the templates beside this file are read once, at import; each
``@name@`` in them is a value of `configuration` or `standalone`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Final

from mediaserver.errors import ConfigError
from mediaserver.hls import addresses
from mediaserver.http.problem import media_problem

AUTHORISE_PATH: Final = "/_edge/authorise"
"""Where the origin answers the subrequest: 2xx, or why not."""
EDGE_HEADER: Final = "X-Vilokanam-Edge"
"""Carries the edge's key on fills; removed from every other request."""
VIA_HEADER: Final = "X-Vilokanam-Via"
"""Carries the edge's key on every request: the client's address that it tells is believed."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What an operator decides about an edge.

    Attributes:
        origin: ``host:port`` of the origin's HTTP, as the edge sees it.
        listen: ``address:port`` to listen on.
        server_name: Host name; ``_`` is any.
        tls_certificate: File of the certificate chain; empty: plain HTTP.
        tls_key: File of its key; empty: plain HTTP.
        cache_dir: Directory of the cache.
        cache_memory_mb: Memory for keys.
        cache_disk_mb: Disk for bytes.
        fill_wait_ms: How long a viewer waits for another's fill of the same part.
        access_log: File that gets one line for each media answer; ``off`` is none.
        key: The secret in the origin's edge.key: letters, digits, - and _.
    """

    origin: str
    listen: str
    server_name: str
    tls_certificate: str
    tls_key: str
    cache_dir: str
    cache_memory_mb: int
    cache_disk_mb: int
    fill_wait_ms: int
    access_log: str
    key: str = field(repr=False)


def configuration(edge: Edge) -> str:
    """Return what belongs into nginx's `http` block, as a file for ``conf.d``.

    Raises:
        ConfigError: Values that would break out of the configuration they are written into.
    """
    _check(edge)
    is_tls = bool(edge.tls_certificate)
    tls = _fill(_TLS, tls_certificate=edge.tls_certificate, tls_key=edge.tls_key) if is_tls else ""
    values = {
        "origin": edge.origin,
        "listen": f"{edge.listen} ssl http2" if is_tls else edge.listen,
        "server_name": edge.server_name,
        "tls": tls,
        "cache_dir": edge.cache_dir,
        "memory": str(edge.cache_memory_mb),
        "disk": str(edge.cache_disk_mb),
        "fill_wait": str(edge.fill_wait_ms),
        "log": f"access_log {edge.access_log}{'' if edge.access_log == 'off' else ' vilokanam'};",
        "key": edge.key,
        "authorise": AUTHORISE_PATH,
        "number": addresses.NUMBER,
        "edge_header": EDGE_HEADER,
        "via_header": VIA_HEADER,
        "unreachable": _UNREACHABLE,
        "no_directive_body": _NO_DIRECTIVE,
        "away_page": AWAY_PAGE,
    }
    return _fill(_TEMPLATE, **addresses.patterns(), **values)


def standalone(edge: Edge, run_dir: str, user: str = "") -> str:
    """Return a whole nginx.conf around `configuration`, for ``nginx -c``.

    Args:
        user: Who its workers run as (``user group``) when root starts it; empty otherwise.

    Raises:
        ConfigError: As `configuration`, and for `run_dir` and `user`.
    """
    faults = [*_faults("run_dir", run_dir)]
    for word in user.split(" ") if user else ():
        faults += _faults("user", word)
    if faults:
        raise ConfigError(tuple(faults))
    body = "".join(f"    {line}\n" if line else "\n" for line in configuration(edge).split("\n"))
    user_line = f"user {user};\n" if user else ""
    return _fill(_STANDALONE_TEMPLATE, run_dir=run_dir, user=user_line, body=body.rstrip() + "\n")


def _fill(template: str, **values: str) -> str:
    """Replace each ``@name@`` by its value, in one pass: values hold no placeholders."""
    return re.sub("@([a-z_]+)@", lambda match: values.get(match[1], match[0]), template)


def _check(edge: Edge) -> None:
    faults = [
        fault
        for name in ("origin", "listen", "server_name", "cache_dir", "access_log", "key")
        for fault in _faults(name, getattr(edge, name))
    ]
    if bool(edge.tls_certificate) != bool(edge.tls_key):
        faults.append("edge.tls_key: certificate and key go together; give both or none")
    for name in ("tls_certificate", "tls_key"):
        faults += _faults(name, getattr(edge, name) or "none")
    if faults:
        raise ConfigError(tuple(faults))


def _faults(name: str, value: str) -> Iterator[str]:
    if not _WORD.fullmatch(value):
        # The key is a secret: it must not be in a message.
        shown = "it" if name == "key" else repr(value)
        yield (
            f"edge.{name}: {shown} is empty or holds what nginx reads as syntax; "
            "use letters, digits and - _ . : / [ ] *"
        )


_UNREACHABLE: Final = media_problem(
    503, "origin", "The origin cannot be reached: try again in a moment."
).decode()

_NO_DIRECTIVE: Final = media_problem(
    400,
    "directive",
    "_HLS_msn and _HLS_part are decimal integers without leading zeros, _HLS_skip is YES or v2.",
).decode()
_WORD: Final = re.compile(r"[A-Za-z0-9_.:/\[\]*-]+")

_TLS: Final = """\
    ssl_certificate @tls_certificate@;
    ssl_certificate_key @tls_key@;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:vilokanam_tls:10m;
"""

AWAY_PAGE: Final = " ".join(
    files("cdn").joinpath("away.html.template").read_text(encoding="utf-8").split("\n")
).strip()
"""What a person reads while the origin does not answer, as one line without single quotes."""
_TEMPLATE: Final = files("cdn").joinpath("nginx.conf.template").read_text(encoding="utf-8")
_STANDALONE_TEMPLATE: Final = (
    files("cdn").joinpath("nginx_standalone.conf.template").read_text(encoding="utf-8")
)
