"""The origin's address and cache tables as an nginx configuration.

The exact edge in its simplest form: bytes are cached once under the path without the viewer's
token, and every request for media is claimed at the origin by a subrequest (`auth_request`) before
a byte leaves the cache. Exact to the tick, at the price of one subrequest for each object (rules 4;
docs/operator.md, "An edge"). Nothing here does I/O: settings in, text out.
"""

from __future__ import annotations

from dataclasses import dataclass
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
        origin: ``host:port`` of the origin's HTTP.
        listen: ``address:port`` to listen on.
        server_name: Host name; ``_`` is any.
        cache_dir: Directory of the cache.
        cache_memory_mb: Memory for keys.
        cache_disk_mb: Disk for bytes.
        access_log: File that gets one line for each media answer: session, path, status, bytes.
        key: The secret in the origin's edge.key: letters, digits, - and _.
    """

    origin: str
    listen: str
    server_name: str
    cache_dir: str
    cache_memory_mb: int
    cache_disk_mb: int
    access_log: str
    key: str


def configuration(edge: Edge) -> str:
    """Return what belongs into nginx's `http` block, as a file for ``conf.d``.

    Raises:
        ConfigError: A value would break out of the configuration it is written into.
    """
    _check(edge)
    text = _HTTP.replace("@plain@", _PLAIN).replace("@fill@", _FILL)
    for name, pattern in addresses.patterns().items():
        text = text.replace(f"<{name}>", pattern)
    values = {
        "origin": edge.origin,
        "listen": edge.listen,
        "server_name": edge.server_name,
        "cache_dir": edge.cache_dir,
        "memory": str(edge.cache_memory_mb),
        "disk": str(edge.cache_disk_mb),
        "access_log": edge.access_log,
        "key": edge.key,
        "authorise": AUTHORISE_PATH,
        "edge_header": EDGE_HEADER,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def standalone(edge: Edge, run_dir: str) -> str:
    """Return a whole nginx.conf around `configuration`, for ``nginx -c``: everything in `run_dir`.

    Raises:
        ConfigError: As `configuration`, and for `run_dir`.
    """
    _check_word("run_dir", run_dir)
    body = "".join(f"    {line}\n" if line else "\n" for line in configuration(edge).split("\n"))
    return _STANDALONE.replace("@run_dir@", run_dir).replace("@body@", body.rstrip())


def _check(edge: Edge) -> None:
    for name in ("origin", "listen", "server_name", "cache_dir", "access_log", "key"):
        _check_word(name, getattr(edge, name))


def _check_word(name: str, value: str) -> None:
    allowed = "-_.:/[]*~@+"
    if not value or any(not (c.isalnum() and c.isascii()) and c not in allowed for c in value):
        remedy = f"use letters, digits, {allowed}"
        raise ConfigError((f"edge.{name}: {value!r} holds what nginx reads as syntax; {remedy}",))


_PLAIN: Final = """\
    proxy_set_header Connection '';
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header @edge_header@ '';
"""

_FILL: Final = """\
        proxy_set_header Connection '';
        proxy_set_header Host $host;
        proxy_set_header Accept-Encoding '';
        proxy_set_header @edge_header@ '@key@';
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
    keepalive 64;
}

map $http_upgrade $vilokanam_connection {
    default upgrade;
    ''      '';
}

log_format vilokanam '$time_iso8601 $vk_session $request_method $vk_path $status $body_bytes_sent '
                     '$upstream_cache_status $request_time';

server {
    listen @listen@;
    server_name @server_name@;

    set $vk_session -;
    set $vk_path -;
    access_log off;
    # nginx writes whole request lines, tokens included, into its error log: only what stops it.
    error_log stderr crit;

    client_max_body_size 1m;
    proxy_http_version 1.1;
    # A location that sets one header of its own has to repeat these. The last line: only this edge
    # may say that it is one.
@plain@
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
        proxy_cache off;
        proxy_read_timeout 60s;
    }

    # A viewer's segments: whole when they are first asked for, so that one fill serves all who wait
    # (proxy_cache_lock).
    location ~ "^/w/<token>(?<vk_segment><segment>)$" {
        set $vk_path $vk_segment;
        auth_request /_vilokanam/authorise;
        auth_request_set $vk_session $upstream_http_x_vilokanam_session;
        error_page 401 403 500 = @refused;
        proxy_pass http://vilokanam_origin$vk_segment;
        proxy_cache vilokanam;
        proxy_cache_key vouched:$vk_segment;
        proxy_cache_lock on;
        proxy_cache_lock_timeout 2s;
@fill@        proxy_hide_header Set-Cookie;
        add_header X-Cache $upstream_cache_status;
        access_log @access_log@ vilokanam;
    }

    # A viewer's parts. No lock: it would make a part that is about to appear up to half a second
    # late (nginx looks again each 500 ms). The claim has already waited for it.
    location ~ "^/w/<token>(?<vk_part><part>)$" {
        set $vk_path $vk_part;
        auth_request /_vilokanam/authorise;
        auth_request_set $vk_session $upstream_http_x_vilokanam_session;
        error_page 401 403 500 = @refused;
        proxy_pass http://vilokanam_origin$vk_part;
        proxy_cache vilokanam;
        proxy_cache_key vouched:$vk_part;
@fill@        proxy_hide_header Set-Cookie;
        add_header X-Cache $upstream_cache_status;
        access_log @access_log@ vilokanam;
    }

    # Media without a token: free streams play, priced ones are refused by the origin. The key is
    # another one, so what a payer's request filled is never a hit here.
    location ~ "^(?<vk_free><segment>|<part>)$" {
        set $vk_path $vk_free;
        proxy_pass http://vilokanam_origin$vk_free;
        proxy_cache vilokanam;
        proxy_cache_key anonymous:$vk_free;
        add_header X-Cache $upstream_cache_status;
        access_log @access_log@ vilokanam;
    }

    # Inits are free, and the same for all for ever.
    location ~ "^(?:/w/<token>)?(?<vk_init><init>)$" {
        set $vk_path $vk_init;
        proxy_pass http://vilokanam_origin$vk_init;
        proxy_cache vilokanam;
        proxy_cache_key init:$vk_init;
        proxy_cache_lock on;
        add_header X-Cache $upstream_cache_status;
    }

    # Playlists are free and the same for all. A blocking reload is not there yet when it is asked
    # for, so again no lock: the origin holds a thousand waiters for the price of one.
    location ~ "^(?:/w/<token>)?(?<vk_playlist><playlist>|<multivariant>)$" {
        set $vk_path $vk_playlist;
        proxy_pass http://vilokanam_origin$vk_playlist$is_args$args;
        proxy_cache vilokanam;
        # The directives in one order; what else a player adds (CMCD) makes no second copy.
        proxy_cache_key playlist:$vk_playlist:$arg__HLS_msn:$arg__HLS_part:$arg__HLS_skip;
        proxy_read_timeout 60s;
        add_header X-Cache $upstream_cache_status;
    }

    # What was refused is asked of the origin as the viewer asked it: the answer says why, in words.
    location @refused {
        proxy_pass http://vilokanam_origin;
        proxy_cache off;
        access_log @access_log@ vilokanam;
    }

    # Pages, the live meter's WebSocket, WHIP, the API: passed on, never kept.
    location / {
        proxy_pass http://vilokanam_origin;
        proxy_cache off;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $vilokanam_connection;
        proxy_set_header @edge_header@ '';
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_read_timeout 120s;
    }
}
"""

_STANDALONE: Final = """\
# A whole nginx for one edge: nginx -c THIS_FILE
daemon off;
worker_processes auto;
pid @run_dir@/nginx.pid;
error_log stderr warn;

events {
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

@body@
}
"""
