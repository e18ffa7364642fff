"""``vilokanam streams``: create, list, show, price, rotate-key, register, open, close."""

from __future__ import annotations

import argparse
from typing import Any

from mediaserver.cli.client import add_server_options, api_of, show, table
from mediaserver.cli.errors import EXIT_FAILED


def add(groups: Any) -> None:
    """Add the commands."""
    parser = groups.add_parser("streams", aliases=["stream"], help="streams, their prices and keys")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = _verb(verbs, "create", _create, "make a stream; its key is shown this once")
    create.add_argument("slug", help="its name in addresses: a-z, 0-9 and -")
    create.add_argument("--title", help="shown to viewers")
    create.add_argument("--price", metavar="PLANCK_PER_S", help="instead of the default price")
    create.add_argument("--fee-ppm", type=int, help="the platform's share, in millionths")
    create.add_argument("--creator", metavar="ACCOUNT", help="who earns: 0x and 64 digits")
    _verb(verbs, "list", _list, "list the streams and what their publishers do")
    parser = _verb(verbs, "show", _show, "a stream's health, and what its creator should change")
    parser.add_argument("slug")
    price = _verb(verbs, "price", _price, "change the price, from a second to come")
    price.add_argument("slug")
    price.add_argument("planck_per_s")
    price.add_argument("--from-tick", type=int, help="first second of the new price (Unix)")
    withdraw = _verb(verbs, "withdraw-price", _withdraw, "take back a price that is still to come")
    withdraw.add_argument("slug")
    withdraw.add_argument("number", type=int, help="of the newest price, as `price` printed it")
    rotate = _verb(verbs, "rotate-key", _rotate, "make a new stream key and refuse the old one")
    rotate.add_argument("slug")
    register = _verb(
        verbs, "register", _register, "make a stream known to the chain, with its prices"
    )
    register.add_argument("slug")
    for name, is_enabled in (("open", True), ("close", False)):
        change = _verb(verbs, name, _change, f"{name} a stream to viewers")
        change.add_argument("slug")
        change.set_defaults(is_enabled=is_enabled)


def _verb(verbs: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_text)
    add_server_options(parser)
    parser.set_defaults(run=run)
    return parser


def _create(arguments: argparse.Namespace) -> int:
    wanted = {
        "slug": arguments.slug,
        "title": arguments.title,
        "planck_per_s": arguments.price,
        "platform_fee_ppm": arguments.fee_ppm,
        "creator": arguments.creator,
    }
    made = api_of(arguments).post(
        "streams", body={key: value for key, value in wanted.items() if value is not None}
    )
    show(
        arguments,
        made,
        f"stream: {made['slug']}\nwhip: {made['whip_url']}\nstream key: {made['stream_key']}",
    )
    return 0


def _list(arguments: argparse.Namespace) -> int:
    answer = api_of(arguments).get("streams")
    rows = [
        (
            stream["slug"],
            stream["title"],
            stream["health"]["state"] if stream["is_enabled"] else "closed",
            stream["prices"][-1]["planck_per_s"],
            stream["id"],
        )
        for stream in answer["streams"]
    ]
    show(arguments, answer, table(("SLUG", "TITLE", "STATE", "PLANCK/S", "ID"), rows))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    stream = api_of(arguments).get("streams", arguments.slug)
    health = stream["health"]
    lines = [
        f"stream: {stream['slug']} ({stream['title']})",
        f"state: {health['state'] if stream['is_enabled'] else 'closed'}",
        f"whip: {stream['whip_url']}",
        f"watch: {stream['watch_url']}",
        f"price: {stream['prices'][-1]['planck_per_s']} planck per second",
        *_chain_lines(stream["chain"]),
        *(f"{fact}: {value:g}" for fact, value in sorted(health["facts"].items())),
        *(f"advice: {sentence}" for sentence in health["advice"]),
    ]
    show(arguments, stream, "\n".join(lines))
    return 0


def _price(arguments: argparse.Namespace) -> int:
    wanted: dict[str, Any] = {"planck_per_s": arguments.planck_per_s}
    if arguments.from_tick is not None:
        wanted["from_tick"] = arguments.from_tick
    made = api_of(arguments).post("streams", arguments.slug, "prices", body=wanted)
    show(
        arguments,
        made,
        f"price {made['number']}: {made['planck_per_s']} planck per second "
        f"from second {made['from_tick']}",
    )
    return 0


def _withdraw(arguments: argparse.Namespace) -> int:
    stream = api_of(arguments).delete("streams", arguments.slug, "prices", str(arguments.number))
    newest = stream["prices"][-1]
    show(
        arguments,
        stream,
        f"price {arguments.number} is withdrawn; price {newest['number']} stays: "
        f"{newest['planck_per_s']} planck per second",
    )
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).post("streams", arguments.slug, "key", body={})
    show(arguments, made, f"stream key: {made['stream_key']}")
    return 0


def _register(arguments: argparse.Namespace) -> int:
    stream = api_of(arguments).post("streams", arguments.slug, "chain", body={})
    show(arguments, stream, "\n".join([f"stream: {stream['slug']}", *_chain_lines(stream)]))
    return 0 if stream["state"] in ("registered", "unsigned") else EXIT_FAILED


def _chain_lines(chain: Any) -> list[str]:
    """Return how far a stream is on the chain; nothing when there is none."""
    if chain is None:
        return []
    reason = f": {chain['reason']}" if chain["reason"] else f", price {chain['price']}"
    lines = [f"chain: {chain['state']}{reason}", f"chain stream: {chain['stream_id']}"]
    if chain["call"]:
        lines.append(f"call data to sign: {chain['call']}")
    return lines


def _change(arguments: argparse.Namespace) -> int:
    changed = api_of(arguments).patch(
        "streams", arguments.slug, body={"is_enabled": arguments.is_enabled}
    )
    show(arguments, changed, f"{changed['slug']}: {'open' if changed['is_enabled'] else 'closed'}")
    return 0
