"""The origin's address and cache tables as an nginx configuration.

The exact edge in its simplest form: bytes are cached once under the path without the viewer's
token, and every request for media is claimed at the origin by a subrequest (`auth_request`) before
a byte leaves the cache. Exact to the tick, at the price of one subrequest for each object (rules 4;
docs/edge.md). Nothing here does I/O: settings in, text out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from mediaserver.errors import ConfigError
from mediaserver.hls import addresses

AUTHORISE_PATH: Final = "/_edge/authorise"
"""Where the origin answers the subrequest: 2xx, or why not."""
EDGE_HEADER: Final = "X-Vilokanam-Edge"
"""Carries the edge's key on fills, and is taken from whoever else sends it."""


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
        "edge_header": EDGE_HEADER,
        "unreachable": json.dumps(_UNREACHABLE),
    }
    text = _fill(_HTTP, ask=_ASK, as_asked=_AS_ASKED, fill=_FILL, x_cache=_X_CACHE)
    return _fill(text, **addresses.patterns(), **values)


def standalone(edge: Edge, run_dir: str, user: str = "") -> str:
    """Return a whole nginx.conf around `configuration`, for ``nginx -c``.

    Args:
        edge: As for `configuration`.
        run_dir: Where the pid and temporary files go.
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
    return _fill(_STANDALONE, run_dir=run_dir, user=user_line, body=body.rstrip() + "\n")


def _fill(template: str, **values: str) -> str:
    """Put each value in the place of its ``@name@``, in one pass: values hold no places."""
    return re.sub("@([a-z_]+)@", lambda found: values.get(found[1], found[0]), template)


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
        # The key is a secret: a message must not tell it.
        shown = "it" if name == "key" else repr(value)
        yield (
            f"edge.{name}: {shown} is empty or holds what nginx reads as syntax; "
            "use letters, digits and - _ . : / [ ] *"
        )


_UNREACHABLE: Final = {
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "detail": "The origin cannot be reached: try again in a moment.",
    "reason": "origin",
}

_WORD: Final = re.compile(r"[A-Za-z0-9_.:/\[\]*-]+")

_TLS: Final = """\
    ssl_certificate @tls_certificate@;
    ssl_certificate_key @tls_key@;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:vilokanam_tls:10m;
"""

_ASK: Final = """\
        auth_request /_vilokanam/authorise;
        auth_request_set $vk_session $upstream_http_x_vilokanam_session;
"""

_AS_ASKED: Final = """\
        error_page 401 403 404 500 = @as_asked;
        error_page 502 504 = @away;
        if ($vk_is_odd) { return 404; }
"""

_FILL: Final = """\
        proxy_set_header Connection '';
        proxy_set_header Host $host;
        proxy_set_header Accept-Encoding '';
        proxy_set_header @edge_header@ '@key@';
"""

_X_CACHE: Final = """\
        add_header X-Cache $upstream_cache_status;
"""

_HTTP: Final = """\
# A caching edge of Vilokanam, written by `vilokanam edge config nginx`. Do not mend it by hand: the
# addresses and rules below are the origin's own tables, and it writes them again at each version.
#
#   bytes       one copy for all viewers, under the path without /w/<token>
#   claims      every request for media asks the origin first: no claim, no byte
#   lifetimes   the origin's Cache-Control, honoured as it is
#   logs        the viewer session, never the token

proxy_cache_path @cache_dir@ levels=1:2 keys_zone=vilokanam:@memory@m max_size=@disk@m inactive=15m
                 use_temp_path=off;

upstream vilokanam_origin {
    server @origin@;
    keepalive 256;
    keepalive_requests 100000;
}

map $http_upgrade $vk_connection {
    default upgrade;
    ''      '';
}

# An address has one spelling. What nginx would read as another (escapes, //, /../, #) is not looked
# up here but asked of the origin as it is.
map $request_uri $vk_is_odd {
    default 1;
    "~^(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+(?:\\?|$)" 0;
}

# Only the directives of HLS, each once and in one order, reach the origin: what is asked there is
# then exactly what the answer is kept under, and what else a player adds makes no second copy.
map $arg__HLS_msn $vk_msn {
    default &_HLS_msn=$arg__HLS_msn;
    ''      '';
}
map $arg__HLS_part $vk_part_index {
    default &_HLS_part=$arg__HLS_part;
    ''      '';
}
map $arg__HLS_skip $vk_skip {
    default &_HLS_skip=$arg__HLS_skip;
    ''      '';
}

# Two forms of a playlist, not one for each way in which browsers write Accept-Encoding.
map $http_accept_encoding $vk_coding {
    default identity;
    "~*(?:^|[, ])gzip(?! *; *q=0(?:\\.0*)? *(?:,|$))" gzip;
}

map $vk_session $vk_session_logged {
    default $vk_session;
    ''      -;
}
map $vk_path $vk_path_logged {
    default $vk_path;
    ''      -;
}
map $upstream_cache_status $vk_cache_logged {
    default $upstream_cache_status;
    ''      -;
}

log_format vilokanam '$time_iso8601 $vk_session_logged $request_method $vk_path_logged $status '
                     '$body_bytes_sent $vk_cache_logged $request_time';

server {
    listen @listen@;
    server_name @server_name@;
@tls@
    access_log off;
    # nginx writes whole request lines, tokens included, into its error log, down to `crit` (a full
    # disk): only what stops it is written. $status in the access log tells the rest.
    error_log stderr emerg;

    client_max_body_size 1m;
    # One range, as the origin: many in one request are answered with the whole.
    max_ranges 1;
    recursive_error_pages on;
    error_page 502 504 = @away;

    proxy_http_version 1.1;
    proxy_connect_timeout 5s;
    # A location that sets one header of its own has to repeat these. The last line: only this edge
    # may say that it is one.
    proxy_set_header Connection '';
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header @edge_header@ '';

    # The question: may this session have this object? The origin waits for a part that is not there
    # yet, claims its seconds, and answers 204, or why not.
    location = /_vilokanam/authorise {
        internal;
        proxy_pass http://vilokanam_origin@authorise@;
        proxy_pass_request_body off;
        proxy_set_header Content-Length '';
        proxy_set_header Connection '';
        proxy_set_header Host $host;
        proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header @edge_header@ '@key@';
    }

    # A viewer's segments: whole when they are first asked for, so that one fill serves all who ask
    # meanwhile (they look again after half a second, which a segment can bear).
    location ~ "^/w/@token@(?<vk_segment>@segment@)$" {
        set $vk_path $vk_segment;
@as_asked@@ask@        proxy_pass http://vilokanam_origin$vk_segment;
@fill@        proxy_cache vilokanam;
        proxy_cache_key vouched:$vk_segment;
        proxy_cache_lock on;
        proxy_cache_lock_timeout 2s;
@x_cache@        @log@
    }

    # A viewer's parts. The claim has waited for the part, so a fill is short, and so is the wait
    # for it: after fill_wait_ms nginx looks again, and fetches for itself what is not there.
    location ~ "^/w/@token@(?<vk_part>@part@)$" {
        set $vk_path $vk_part;
@as_asked@@ask@        proxy_pass http://vilokanam_origin$vk_part;
@fill@        proxy_cache vilokanam;
        proxy_cache_key vouched:$vk_part;
        proxy_cache_lock on;
        proxy_cache_lock_timeout @fill_wait@ms;
@x_cache@        @log@
    }

    # Media without a token: free streams play, priced ones are refused by the origin. It is filled
    # without the edge's key and kept under another name, so that what a payer's request filled is
    # never a hit here.
    location ~ "^(?<vk_free_segment>@segment@)$" {
        set $vk_path $vk_free_segment;
@as_asked@        proxy_pass http://vilokanam_origin$vk_free_segment;
        proxy_cache vilokanam;
        proxy_cache_key anonymous:$vk_free_segment;
        proxy_cache_lock on;
        proxy_cache_lock_timeout 2s;
@x_cache@        @log@
    }

    # The question costs no claim here: it is asked for its waiting, so that a thousand viewers of a
    # hinted part are one fill.
    location ~ "^(?<vk_free_part>@part@)$" {
        set $vk_path $vk_free_part;
@as_asked@@ask@        proxy_pass http://vilokanam_origin$vk_free_part;
        proxy_cache vilokanam;
        proxy_cache_key anonymous:$vk_free_part;
        proxy_cache_lock on;
        proxy_cache_lock_timeout @fill_wait@ms;
@x_cache@        @log@
    }

    # Inits are free, and the same for all for ever.
    location ~ "^(?:/w/@token@)?(?<vk_init>@init@)$" {
@as_asked@        proxy_pass http://vilokanam_origin$vk_init;
        proxy_cache vilokanam;
        proxy_cache_key init:$vk_init;
        proxy_cache_lock on;
        proxy_cache_lock_timeout @fill_wait@ms;
@x_cache@    }

    # Playlists are free and the same for all. A blocking reload is not there yet when it is asked
    # for, so no lock: it would make the answer up to half a second late. The origin holds a
    # thousand who wait for the price of one.
    location ~ "^(?:/w/@token@)?(?<vk_playlist>@playlist@)$" {
@as_asked@        proxy_pass http://vilokanam_origin$vk_playlist?$vk_msn$vk_part_index$vk_skip;
        proxy_set_header Connection '';
        proxy_set_header Host $host;
        proxy_set_header Accept-Encoding $vk_coding;
        proxy_set_header @edge_header@ '';
        proxy_ignore_headers Vary;
        proxy_cache vilokanam;
        proxy_cache_key playlist:$vk_coding:$vk_playlist?$vk_msn$vk_part_index$vk_skip;
@x_cache@    }

    location ~ "^(?:/w/@token@)?(?<vk_multivariant>@multivariant@)$" {
@as_asked@        proxy_pass http://vilokanam_origin$vk_multivariant;
        proxy_set_header Connection '';
        proxy_set_header Host $host;
        proxy_set_header Accept-Encoding $vk_coding;
        proxy_set_header @edge_header@ '';
        proxy_ignore_headers Vary;
        proxy_cache vilokanam;
        proxy_cache_key multivariant:$vk_coding:$vk_multivariant;
@x_cache@    }

    # What was refused, or spelled otherwise, is asked of the origin as the viewer asked it, without
    # the cache: the answer says why, in words.
    location @as_asked {
        proxy_pass http://vilokanam_origin$request_uri;
        @log@
    }

    location @away {
        default_type application/problem+json;
        add_header Access-Control-Allow-Origin * always;
        add_header Cache-Control no-store always;
        add_header Retry-After 1 always;
        return 503 '@unreachable@';
        @log@
    }

    # The origin's own affairs are nobody's out here.
    location = /metrics { return 404; }
    location /_edge/ { return 404; }

    # Pages, the live meter's WebSocket, WHIP, the API: passed on, never kept.
    location / {
        proxy_pass http://vilokanam_origin;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $vk_connection;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header @edge_header@ '';
        proxy_read_timeout 120s;
    }
}
"""

_STANDALONE: Final = """\
# A whole nginx for one edge: nginx -c THIS_FILE
daemon off;
@user@worker_processes auto;
pid @run_dir@/nginx.pid;
error_log stderr warn;

events {
    # A player that waits holds up to four: a thousand players a worker. More needs
    # worker_rlimit_nofile too, where the system allows it.
    worker_connections 4096;
}

http {
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 75s;
    server_tokens off;
    client_body_temp_path @run_dir@/body;
    proxy_temp_path @run_dir@/proxy;
    fastcgi_temp_path @run_dir@/fastcgi;
    uwsgi_temp_path @run_dir@/uwsgi;
    scgi_temp_path @run_dir@/scgi;

@body@}
"""
