"""A stream in plain words: what it does now, what its creator should change, what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mediaserver.cli.clock_text import clock_text, span_text
from metering.model.amounts import amount_text
from metering.units import Asset

_HOUR_S = 3600
_SEEN_BY = {
    "public": "public, everybody may see it",
    "unlisted": "unlisted, for those who have its address and sign in",
    "invited": "by invitation, for its guests alone",
}
_STATES = {
    "offline": "offline, nobody publishes",
    "waiting": "waiting, the publisher is away and may come back",
    "restarting": "restarting, the publisher's session ends with its worker",
    "ended": "ended",
}


def price_text(planck: int, asset: Asset) -> str:
    """Return a price: ``0.00025 UNIT per second (250000000 planck), 0.9 UNIT per hour``."""
    if not planck:
        return "free"
    hour = amount_text(planck * _HOUR_S, asset)
    return f"{amount_text(planck, asset)} per second ({planck} planck), {hour} per hour"


def price_lines(stream: dict[str, Any], asset: Asset, now_s: float) -> Iterator[str]:
    """Yield the price in force, and each that is to come with its clock time."""
    price = stream["price"]
    yield f"price: {price_text(int(price['planck_per_s']), asset) if price else 'free'}"
    for version in stream["prices_to_come"]:
        yield f"price to come: {version_text(version, asset, now_s)}"


def cap_lines(stream: dict[str, Any], asset: Asset, now_s: float) -> Iterator[str]:
    """Yield what a show costs at most, and what one costs that begins later."""
    yield f"a show costs: {_cap_text(stream['show_cap'], asset)}"
    if later := stream["show_cap_to_come"]:
        begin = clock_text(later["from_show"], now_s)
        yield f"a show that begins from {begin} on costs: {_cap_text(later, asset)}"


def version_text(version: dict[str, Any], asset: Asset, now_s: float) -> str:
    """Return a price with the time at which it begins."""
    begin_s = version["from_tick"]
    text = price_text(int(version["planck_per_s"]), asset)
    return f"{text}, from {clock_text(begin_s, now_s)} on, in {span_text(begin_s - now_s)}"


def withdraw_line(slug: str, made: dict[str, Any], now_s: float) -> str:
    """Return how a price that was just set is taken back, and until when that can be done."""
    if made["withdraw_until_ms"] is None:
        return "it stays, as the chain keeps prices; if it is wrong, set another one"
    until_s = made["withdraw_until_ms"] / 1000
    if until_s <= now_s:
        return "it begins too soon to be taken back; if it is wrong, set another one"
    return (
        f"if it is wrong: `vilokanam streams withdraw-price {slug} {made['number']}`, until "
        f"{clock_text(until_s, now_s)}, for {span_text(until_s - now_s)} from now"
    )


def price_cell(stream: dict[str, Any], asset: Asset, now_s: float) -> str:
    """Return a stream's price for a table; the next one too, with its time."""
    price = stream["price"]
    text = _short(int(price["planck_per_s"]) if price else 0, asset)
    for version in stream["prices_to_come"][:1]:
        begin = clock_text(version["from_tick"], now_s)
        text += f"; {_short(int(version['planck_per_s']), asset)} from {begin}"
    return text


def viewer_lines(stream: dict[str, Any], ways: dict[str, Any]) -> Iterator[str]:
    """Yield where viewers watch, and what those of a priced stream need besides.

    Args:
        ways: How people sign in at this server, as `GET /api/v1/sign-in` tells it.
    """
    yield f"watch: {stream['watch_url']}"
    price = stream["price"]
    is_priced = bool(stream["prices_to_come"]) or bool(price and int(price["planck_per_s"]))
    if not is_priced:
        return
    link = f"a link of their own, by `vilokanam token mint VIEWER {stream['slug']}`"
    if not (ways["passkey"] or ways["mail"] or ways["oidc"]):
        yield (
            f"  it costs money: each viewer needs {link}, and a balance, by "
            "`vilokanam viewers credit`"
        )
        return
    who = "signs in there" if ways["sign_up"] else "has an account here and signs in there"
    yield (
        f"  it costs money: who {who} watches without a link, from a balance that they pay in "
        f"themselves where [payments] takes money; anybody else needs {link}. A balance of either "
        "is booked by `vilokanam viewers credit`, too"
    )


def show_lines(
    stream: dict[str, Any], asset: Asset, now_s: float, ways: dict[str, Any]
) -> Iterator[str]:
    """Yield a stream: its state, then what to change, then what arrives, addresses and price."""
    health = stream["health"]
    yield f"stream: {stream['slug']} ({stream['title']})"
    yield f"state: {_state(stream, now_s)}"
    if (taken := stream["taken_down"]) is not None:
        by_law = ", as the law demands it" if taken["is_legal"] else ""
        since = clock_text(taken["made_ms"] / 1000, now_s)
        yield f"taken down: since {since}{by_law}: {taken['reason']}"
    yield from (f"advice: {sentence}" for sentence in health["advice"])
    if health["state"] in ("live", "waiting", "restarting"):
        yield from _media_lines(health["facts"])
    yield from viewer_lines(stream, ways)
    yield f"visibility: {visibility_text(stream)}"
    yield f"whip: {stream['whip_url']}"
    yield from price_lines(stream, asset, now_s)
    if stream["show_cap"] or stream["show_cap_to_come"]:
        yield from cap_lines(stream, asset, now_s)
    yield from chain_lines(stream["chain"])


def visibility_text(stream: dict[str, Any]) -> str:
    """Return who may see a stream."""
    return _SEEN_BY[stream["visibility"]]


def chain_lines(chain: Any) -> list[str]:
    """Return how far a stream is on the chain; nothing when there is none."""
    if chain is None:
        return []
    reason = f": {chain['reason']}" if chain["reason"] else f", price {chain['price']}"
    lines = [f"chain: {chain['state']}{reason}", f"chain stream: {chain['stream_id']}"]
    if chain["call"]:
        lines.append(f"call data to sign: {chain['call']}")
    return lines


def _state(stream: dict[str, Any], now_s: float) -> str:
    health = stream["health"]
    state = health["state"]
    text = _STATES.get(state, state)
    if state == "live" and health["show"]:
        began_s = health["show"]
        # A show is named after the second of its first tick (docs/metering.md, "Who and what").
        text = f"live since {clock_text(began_s, now_s)}, {span_text(now_s - began_s)}"
    if stream.get("archived_ms") is not None:
        return "archived: `streams unarchive` takes it back"
    return text if stream["is_enabled"] else f"closed to viewers; {text}"


def _media_lines(facts: dict[str, float]) -> Iterator[str]:
    """Yield what the publisher sends and what is made of it, each number with its meaning."""
    if facts.get("height"):
        gap_s = facts.get("keyframe_interval_s") or facts.get("gop_s") or 0
        yield (
            f"picture: H.264, {facts['width']:g} x {facts['height']:g} at "
            f"{facts.get('fps', 0):.3g} frames a second, {facts.get('video_kbps', 0):.0f} kbit/s"
            + (f", a keyframe every {gap_s:.1f} s" if gap_s else "")
        )
    else:
        yield "picture: none comes"
    if facts.get("audio_kbps"):
        yield f"sound: Opus, {facts['audio_kbps']:.0f} kbit/s"
    else:
        yield "sound: none comes"
    loss = f"{facts.get('upload_loss_percent', 0):g} % of the packets were lost at the first try"
    mended = f"{facts.get('repaired', 0):.0f} were mended and {facts.get('lost', 0):.0f} never came"
    yield f"upload: {loss}; since the publisher connected, {mended}"
    how = "encoded again here" if facts.get("reencoding") else "passed on as it came"
    count = round(facts.get("renditions", 0))
    late = f"; {facts.get('frames_not_made', 0):.0f} frames were not made in time"
    yield (
        f"viewers choose from: {count} rendition{'' if count == 1 else 's'}, the source {how}"
        + (late if facts.get("frames_not_made") else "")
    )


def own_price_text(made: dict[str, Any], asset: Asset) -> str:
    """Return what a named viewer pays from then on."""
    if made["planck_per_s"] is None:
        return "what everybody pays"
    planck = int(made["planck_per_s"])
    return price_text(planck, asset) if planck else "nothing"


def _cap_text(cap: dict[str, Any] | None, asset: Asset) -> str:
    planck = int(cap["planck"]) if cap else 0
    return f"never more than {amount_text(planck, asset)}" if planck else "as long as it is watched"


def _short(planck: int, asset: Asset) -> str:
    return f"{amount_text(planck, asset)}/s" if planck else "free"
