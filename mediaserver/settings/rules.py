"""Rules between settings, and what text keys may hold; each value is already of its type and range.

Pure but for the names of fields: `load` in mediaserver.settings asks once all values are legal by
themselves. Messages are ``key.path: value is what is wrong; remedy``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from mediaserver.ingest.settings import IngestSettings
from mediaserver.settings.network_rules import host_faults, network_faults
from mediaserver.settings.payments_rules import payments_faults
from mediaserver.settings.people_rules import people_faults
from mediaserver.settings.records import Settings
from mediaserver.settings.watch_rules import watch_faults
from mediaserver.settings.webhooks_rules import hooks_faults, webhooks_faults

UNITS_MAX: Final = (1 << 63) - 1
"""Redis counts in signed 64-bit integers (HINCRBY)."""
LUA_EXACT_MAX: Final = 1 << 53
"""Lua multiplies new ticks by price as doubles: exact only below this."""
PLANCK_MAX: Final = (1 << 128) - 1
"""A Substrate balance is a u128."""
UDP_PORTS_MIN: Final = 10
"""One port a WHIP session on each address, and room for an ICE restart of each."""
RUNGS_MAX: Final = 8
"""More encoders than that fit no machine that one stream is meant for."""
_RUNG_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SYMBOL: Final = re.compile(r"[A-Za-z0-9]{1,12}")
_PLANCK: Final = re.compile(r"0|[1-9][0-9]{0,38}")
_PRESETS: Final = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium")


def cross_faults(settings: Settings) -> Iterator[str]:
    """Yield each fault that only shows when values are seen together."""
    yield from _server(settings)
    yield from network_faults(settings)
    yield from _ingest(settings)
    yield from _transcode(settings)
    yield from _hls(settings)
    yield from _metering(settings)
    yield from _chain(settings)
    yield from people_faults(settings)
    yield from payments_faults(settings)
    yield from webhooks_faults(settings)
    yield from hooks_faults(settings)
    yield from watch_faults(settings)
    money = tuple(_planck_texts(settings))
    yield from money
    if not money:
        yield from _price(settings)


def text_faults(settings: Settings) -> Iterator[str]:
    """Yield what is wrong with a text by itself, whatever the other keys are."""
    yield from _addresses(settings)
    yield from host_faults(settings.server.host)
    yield from network_faults(settings)
    yield from _planck_texts(settings)


def object_ticks_max(settings: Settings) -> int:
    """Return the most ticks that one media object can carry.

    A segment is at most TARGETDURATION rounded up by half a second, and touches one tick more at
    each end.
    """
    return settings.hls.target_duration_s + 2


def price_fault(settings: Settings, planck_per_tick: int) -> str:
    """Return what is wrong with a price and the remedy, or nothing when it is legal."""
    quantum = int(settings.price.quantum_planck)
    most = (LUA_EXACT_MAX - 1) // object_ticks_max(settings)
    if planck_per_tick < 0:
        return "is below 0; use 0 for free"
    if planck_per_tick % quantum:
        return f"is not a multiple of price.quantum_planck; use a multiple of {quantum}"
    if planck_per_tick // quantum > most:
        return (
            f"times the {object_ticks_max(settings)} seconds of one object (2 more than "
            f"hls.target_duration_s) is not exact in Redis; use at most {most * quantum}, or a "
            "larger price.quantum_planck"
        )
    return ""


def _server(settings: Settings) -> Iterator[str]:
    server = settings.server
    if not server.data_dir:
        yield 'server.data_dir: "" is empty; give a directory of the server\'s own'
    if server.worker_spares > server.workers_max:
        yield (
            f"server.worker_spares: {server.worker_spares} is above server.workers_max "
            f"{server.workers_max}; lower it"
        )
    yield from _addresses(settings)


def _addresses(settings: Settings) -> Iterator[str]:
    server = settings.server
    for key, url, may_be_empty in (
        ("server.public_url", server.public_url, True),
        ("server.publish_url", server.publish_url, True),
        ("edge.origin_url", settings.edge.origin_url, False),
    ):
        if (url or not may_be_empty) and not _is_base_url(url):
            yield f"{key}: {url} is not an address of a site; use https://host without a path"
    for key, url, filled in (
        ("price.top_up_url", settings.price.top_up_url, "{account}"),
        ("price.entry_url", settings.price.entry_url, "{stream}"),
    ):
        if url and urlsplit(url).scheme not in ("http", "https"):
            yield f"{key}: {url} is not a web address; use https://..."
        if "{" in url.replace(filled, ""):
            yield f"{key}: {url} has an unknown placeholder; only {filled} is filled"
    if not _is_node_url(settings.chain.url):
        yield f"chain.url: {settings.chain.url} is no address of a node; use ws://host:9944"
    yield from _redis_url(settings.metering.redis_url)


def _redis_url(url: str) -> Iterator[str]:
    """Yield what is wrong with ``metering.redis_url``, without its text: it may hold a password."""
    if not url:
        return
    if not url.startswith(("redis://", "rediss://", "unix://")):
        yield (
            f"metering.redis_url: {url.partition(':')[0]}: is not a scheme of Redis; "
            "use redis://, rediss:// or unix://"
        )
        return
    # Loading redis-py takes the command line a fifth of a second: only where there is an address.
    from metering.store.address import is_address  # noqa: PLC0415

    if not is_address(url):
        yield (
            "metering.redis_url: is not an address of Redis; "
            "use redis://user:password@host:6379/0 or unix:///path"
        )


def _ingest(settings: Settings) -> Iterator[str]:
    ingest = settings.ingest
    count = ingest.udp_port_max - ingest.udp_port_min + 1
    if count < UDP_PORTS_MIN:
        yield (
            f"ingest.udp_port_max: {ingest.udp_port_max} leaves {max(count, 0)} ports; "
            f"use at least ingest.udp_port_min + {UDP_PORTS_MIN - 1}"
        )
    if not ingest.bind_addresses:
        yield 'ingest.bind_addresses: [] is empty; use ["0.0.0.0"] to receive on every address'
    for key in ("bind_addresses", "advertise_addresses"):
        for index, address in enumerate(getattr(ingest, key)):
            if not _is_address(address):
                yield f"ingest.{key}[{index}]: {address} is no IP address; use one such as 10.0.0.1"
            elif key == "advertise_addresses" and ipaddress.ip_address(address).is_unspecified:
                yield f"ingest.{key}[{index}]: {address} is no address of a host; give a real one"
    yield from _unreached(ingest)


def _unreached(ingest: IngestSettings) -> Iterator[str]:
    """Yield what would be advertised and leads to no address that is bound."""
    bound = {
        ipaddress.ip_address(text).version for text in ingest.bind_addresses if _is_address(text)
    }
    for index, text in enumerate(ingest.advertise_addresses):
        if not _is_address(text) or not bound:
            continue
        version = ipaddress.ip_address(text).version
        if version not in bound:
            every = "0.0.0.0" if version == 4 else "::"  # noqa: S104 - a remedy's words
            yield (
                f"ingest.advertise_addresses[{index}]: {text} leads nowhere, as "
                f"ingest.bind_addresses has no IPv{version} address; add {every} there"
            )


def _transcode(settings: Settings) -> Iterator[str]:
    transcode = settings.transcode
    if transcode.preset not in _PRESETS:
        yield f"transcode.preset: {transcode.preset} is not known; use {' or '.join(_PRESETS)}"
    if len(transcode.rungs) > RUNGS_MAX:
        yield f"transcode.rungs: {len(transcode.rungs)} rungs are over {RUNGS_MAX}; list fewer"
    seen: set[str] = set()
    for index, rung in enumerate(transcode.rungs):
        path = f"transcode.rungs[{index}].name"
        if not _RUNG_NAME.fullmatch(rung.name):
            yield f"{path}: {rung.name} is not a name for an address; use a-z, 0-9 and -"
        elif rung.name in ("source", "audio"):
            yield f"{path}: {rung.name} is taken by the server; use one such as {rung.height}p"
        elif rung.name in seen:
            yield f"{path}: {rung.name} is there twice; give each rung its own name"
        seen.add(rung.name)
        if rung.height % 2:
            yield (
                f"transcode.rungs[{index}].height: {rung.height} is odd; "
                f"use {rung.height + 1}, as 4:2:0 pictures have even sizes"
            )


def _metering(settings: Settings) -> Iterator[str]:
    lost_s, notice_s = settings.metering.policy_lost_s, settings.price.change_notice_s
    if lost_s > notice_s:
        # It would go on with the old price after the new one began.
        yield (
            f"metering.policy_lost_s: {lost_s} is above price.change_notice_s {notice_s}; use at "
            f"most {notice_s}, or a longer price.change_notice_s"
        )


def _chain(settings: Settings) -> Iterator[str]:
    period = settings.chain.era_blocks
    if period & (period - 1):
        yield (
            f"chain.era_blocks: {period} is not a power of two; use {1 << period.bit_length() - 1} "
            f"or {1 << period.bit_length()}"
        )


def _hls(settings: Settings) -> Iterator[str]:
    hls = settings.hls
    part, segment, target_s = hls.part_target_ms, hls.segment_target_ms, hls.target_duration_s

    # A segment ends where a part ends: it is a whole number of part slots.
    if segment % part:
        yield (
            f"hls.segment_target_ms: {segment} is not a multiple of hls.part_target_ms {part}; "
            f"use {max(segment // part, 1) * part}"
        )
    # rfc8216bis, 4.4.3.1: EXTINF rounded to the nearest integer is at most TARGETDURATION.
    rounded_s = (segment + 500) // 1000
    if target_s < rounded_s:
        yield (
            f"hls.target_duration_s: {target_s} is below hls.segment_target_ms {segment} rounded; "
            f"use {rounded_s} or more"
        )
    # rfc8216bis, 4.4.3.8: PART-HOLD-BACK (3 parts) is no further back than HOLD-BACK (3 targets).
    if 3 * part > 3 * target_s * 1000:
        yield (
            f"hls.part_target_ms: {part} puts the part hold-back of 3 parts behind the hold-back "
            f"of 3 hls.target_duration_s; use at most {target_s * 1000}"
        )
    # rfc8216bis, 6.2.2: a live window is at least three target durations long.
    least = max(3 * target_s * 1000, 6 * segment)
    if hls.window_ms < least:
        yield (
            f"hls.window_ms: {hls.window_ms} is below 3 hls.target_duration_s and 6 "
            f"hls.segment_target_ms; use {least} or more"
        )

    # A tick is charged once while it is remembered: for as long as a player can ask for it.
    watched_ms = settings.metering.watched_hours * 3_600_000
    if hls.window_ms > watched_ms:
        yield (
            f"metering.watched_hours: {settings.metering.watched_hours} is shorter than "
            f"hls.window_ms {hls.window_ms}; use {-(-hls.window_ms // 3_600_000)} or more"
        )


def _planck_texts(settings: Settings) -> Iterator[str]:
    price = settings.price
    for key in (
        "quantum_planck",
        "supply_planck",
        "default_planck_per_s",
        "session_limit_planck",
        "stream_limit_planck",
        "day_limit_planck",
        "demo_top_up_planck",
    ):
        text: str = getattr(price, key)
        if not _PLANCK.fullmatch(text) or int(text) > PLANCK_MAX:
            yield f'price.{key}: "{text}" is not planck; use a whole decimal number such as "1000"'
    chain = settings.chain
    for key, remedy in (
        ("provisional_cap_planck", 'or "0" for no credit before finality'),
        ("creator_float_planck", 'or "0" when somebody else gives creators their fees'),
        ("viewer_float_planck", "enough for the chain's existential deposit and some fees"),
        ("exposure_alarm_planck", 'or "0" for no alarm'),
    ):
        text = getattr(chain, key)
        if not _PLANCK.fullmatch(text) or int(text) > PLANCK_MAX:
            yield (
                f'chain.{key}: "{text}" is not planck; use a whole decimal number such as "1000", '
                f"{remedy}"
            )
    if price.quantum_planck == "0":
        yield 'price.quantum_planck: "0" counts nothing; use "1" or more'
    if not _SYMBOL.fullmatch(price.asset_symbol):
        yield f"price.asset_symbol: {price.asset_symbol} is not a symbol; use 1 to 12 letters"


def _price(settings: Settings) -> Iterator[str]:
    price = settings.price
    quantum, supply = int(price.quantum_planck), int(price.supply_planck)
    if supply // quantum > UNITS_MAX:
        yield (
            f"price.supply_planck: {supply} is {supply // quantum} units, over {UNITS_MAX} that "
            f"Redis can count; use a price.quantum_planck of {-(-supply // UNITS_MAX)} or more"
        )
    fault = price_fault(settings, int(price.default_planck_per_s))
    if fault:
        yield f"price.default_planck_per_s: {price.default_planck_per_s} {fault}"
    for key in (
        "session_limit_planck",
        "stream_limit_planck",
        "day_limit_planck",
        "demo_top_up_planck",
    ):
        value = int(getattr(price, key))
        if value % quantum:
            yield (
                f"price.{key}: {value} is not a multiple of price.quantum_planck; "
                f"use a multiple of {quantum}"
            )
        elif value > supply:
            yield f"price.{key}: {value} is above price.supply_planck; use at most {supply}"


def _is_address(text: Any) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_node_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_base_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        is_port_legal = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        is_port_legal
        and parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and not (parts.path or parts.query or parts.fragment)
    )
