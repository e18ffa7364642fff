"""``vilokanam streams``: create, list, show, price, rotate-key, rename, visibility ..."""

from __future__ import annotations

import argparse
import time
from typing import Any

from mediaserver.cli import audience, stream_guests, stream_passes, stream_splits
from mediaserver.cli.amounts import AMOUNT_HELP, add_amount, asset_of, planck_of
from mediaserver.cli.client import api_of, show, table, verb
from mediaserver.cli.clock_text import clock_text
from mediaserver.cli.errors import EXIT_FAILED, EXIT_USAGE, CliError
from mediaserver.cli.stream_text import (
    cap_lines,
    chain_lines,
    own_price_text,
    price_cell,
    price_lines,
    price_text,
    show_lines,
    version_text,
    viewer_lines,
    visibility_text,
    withdraw_line,
)

_VISIBILITIES = ("public", "unlisted", "invited")


def add(groups: Any) -> None:
    """Add the commands."""
    parser = groups.add_parser("streams", aliases=["stream"], help="streams, their prices and keys")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = verb(verbs, "create", _create, "make a stream; its key is shown this once")
    create.add_argument("slug", help="its name in addresses: a-z, 0-9 and -")
    create.add_argument("--title", help="shown to viewers")
    price = create.add_mutually_exclusive_group()
    price.add_argument(
        "--price", metavar="AMOUNT", help=f"per second, instead of the default; {AMOUNT_HELP}"
    )
    price.add_argument("--planck", metavar="N", help="the same in whole planck")
    create.add_argument("--fee-ppm", type=int, help="the platform's share, in millionths")
    create.add_argument("--visibility", choices=_VISIBILITIES, help="who may see it: public")
    create.add_argument("--creator", metavar="ACCOUNT", help="who earns: 0x and 64 digits")
    create.add_argument(
        "--share", action="append", default=[], help=f"who else earns: {stream_splits.SHARE_HELP}"
    )
    listed = verb(verbs, "list", _list, "list the streams and what their publishers do")
    listed.add_argument("--archived", action="store_true", help="those that are archived")
    parser = verb(verbs, "show", _show, "a stream's health, and what its creator should change")
    parser.add_argument("slug")
    change = verb(verbs, "price", _price, "change the price, from a second to come")
    change.add_argument("slug")
    add_amount(change, "per second")
    change.add_argument("--from-tick", type=int, help="first second of the new price (Unix)")
    own = verb(verbs, "price-for", _price_for, "give one viewer an own price, or list those")
    own.add_argument("slug")
    own.add_argument("viewer", nargs="?", help="name or account; left out: list those who have one")
    own.add_argument(
        "amount",
        nargs="?",
        metavar="AMOUNT|free|none",
        help=f"per second, {AMOUNT_HELP}; none: what everybody pays",
    )
    own.add_argument("--from-tick", type=int, help="first second of it (Unix)")
    withdraw = verb(verbs, "withdraw-price", _withdraw, "take back a price that is still to come")
    withdraw.add_argument("slug")
    withdraw.add_argument("number", type=int, help="of the newest price, as `price` printed it")
    rotate = verb(verbs, "rotate-key", _rotate, "make a new stream key and refuse the old one")
    rotate.add_argument("slug")
    register = verb(
        verbs, "register", _register, "make a stream known to the chain, with its prices"
    )
    register.add_argument("slug")
    title = verb(verbs, "title", _title, "give a stream another title")
    title.add_argument("slug")
    title.add_argument("title")
    rename = verb(verbs, "rename", _rename, "give a stream that is not on air another address")
    rename.add_argument("slug")
    rename.add_argument("wanted", metavar="new")
    seen = verb(verbs, "visibility", _visibility, "say who may see a stream")
    seen.add_argument("slug")
    seen.add_argument("visibility", choices=_VISIBILITIES)
    preview = verb(verbs, "preview", _preview, "let everyone watch a show's first seconds free")
    preview.add_argument("slug")
    preview.add_argument("seconds", type=int, help="of each show, for each account; 0: none")
    cap = verb(verbs, "cap", _cap, "say what a show costs at most, for shows that begin later")
    cap.add_argument("slug")
    cap.add_argument("amount", metavar="AMOUNT|none", help=f"of each show; {AMOUNT_HELP}")
    stream_guests.add(verbs)
    stream_passes.add(verbs)
    stream_splits.add(verbs)
    audience.add_to_streams(verbs)
    for name, is_enabled in (("open", True), ("close", False)):
        change = verb(verbs, name, _change, f"{name} a stream to viewers")
        change.add_argument("slug")
        change.set_defaults(is_enabled=is_enabled)
    for name, is_archived, about in (
        ("archive", True, "close a stream for good: no publisher, no viewer, in no list"),
        ("unarchive", False, "take an archived stream back, as open as it was"),
    ):
        change = verb(verbs, name, _archive, about)
        change.add_argument("slug")
        change.set_defaults(is_archived=is_archived)


def _create(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset, price = asset_of(api), None
    if arguments.price is not None or arguments.planck is not None:
        price = planck_of(arguments.price, arguments.planck, asset)
    wanted = {
        "slug": arguments.slug,
        "title": arguments.title,
        "planck_per_s": price,
        "platform_fee_ppm": arguments.fee_ppm,
        "creator": arguments.creator,
        "visibility": arguments.visibility,
        "payees": stream_splits.payees_of(arguments.share) or None,
    }
    ways = api.get("sign-in")  # before: the key of what is made is shown once
    made = api.post(
        "streams", body={key: value for key, value in wanted.items() if value is not None}
    )
    lines = [
        f"stream: {made['slug']}",
        *price_lines(made, asset, time.time()),
        *viewer_lines(made, ways),
        f"whip: {made['whip_url']}",
        f"stream key: {made['stream_key']}",
    ]
    show(arguments, made, "\n".join(lines))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    query = {"archived": "yes"} if arguments.archived else {}
    answer, asset, now_s = api.pages("streams", "streams", **query), asset_of(api), time.time()
    rows = [
        (
            stream["slug"],
            stream["title"],
            _state(stream),
            price_cell(stream, asset, now_s),
            stream["id"],
        )
        for stream in answer["streams"]
    ]
    show(arguments, answer, table(("SLUG", "TITLE", "STATE", "PRICE", "ID"), rows))
    return 0


def _show(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    stream = api.get("streams", arguments.slug)
    show(
        arguments,
        stream,
        "\n".join(show_lines(stream, asset_of(api), time.time(), api.get("sign-in"))),
    )
    return 0


def _state(stream: dict[str, Any]) -> str:
    if stream["archived_ms"] is not None:
        return "archived"
    return str(stream["health"]["state"]) if stream["is_enabled"] else "closed"


def _title(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).patch("streams", arguments.slug, body={"title": arguments.title})
    show(arguments, made, f"{made['slug']}: {made['title']}")
    return 0


def _archive(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).patch(
        "streams", arguments.slug, body={"is_archived": arguments.is_archived}
    )
    now = "archived" if arguments.is_archived else f"taken back, {_state(made)}"
    show(arguments, made, f"{made['slug']}: {now}")
    return 0


def _rename(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    made = api.patch("streams", arguments.slug, body={"slug": arguments.wanted})
    where = viewer_lines(made, api.get("sign-in"))
    show(arguments, made, "\n".join((f"{arguments.slug} is {made['slug']} now", *where)))
    return 0


def _price(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset = asset_of(api)
    planck = planck_of(arguments.amount, arguments.planck, asset)
    wanted: dict[str, Any] = {"planck_per_s": planck}
    if arguments.from_tick is not None:
        wanted["from_tick"] = arguments.from_tick
    made = api.post("streams", arguments.slug, "prices", body=wanted)
    now_s = time.time()
    text = version_text(made, asset, now_s)
    lines = [
        f"price {made['number']}: {text} (second {made['from_tick']})",
        withdraw_line(arguments.slug, made, now_s),
    ]
    show(arguments, made, "\n".join(lines))
    return 0


def _price_for(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset, now_s = asset_of(api), time.time()
    path = ("streams", arguments.slug, "viewer-prices")
    if arguments.viewer is None:
        answer = api.get(*path)
        rows = [
            (made["name"], clock_text(made["from_tick"], now_s), own_price_text(made, asset))
            for made in answer["viewer_prices"]
        ]
        show(arguments, answer, table(("VIEWER", "FROM", "PAYS"), rows))
        return 0
    if arguments.amount is None:
        raise CliError('give a price with its unit, "free", or "none"', EXIT_USAGE)
    if arguments.amount == "none":
        made = api.delete(*path, arguments.viewer)
    else:
        is_free = arguments.amount == "free"
        wanted: dict[str, Any] = {
            "planck_per_s": "0" if is_free else planck_of(arguments.amount, None, asset)
        }
        if arguments.from_tick is not None:
            wanted["from_tick"] = arguments.from_tick
        made = api.put(*path, arguments.viewer, body=wanted)
    begin = clock_text(made["from_tick"], now_s)
    show(arguments, made, f"{made['name']} pays from {begin} on: {own_price_text(made, asset)}")
    return 0


def _withdraw(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    stream = api.delete("streams", arguments.slug, "prices", str(arguments.number))
    newest = stream["prices"][-1]
    show(
        arguments,
        stream,
        f"price {arguments.number} is withdrawn; price {newest['number']} stays: "
        f"{price_text(int(newest['planck_per_s']), asset_of(api))}",
    )
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).post("streams", arguments.slug, "key", body={})
    show(arguments, made, f"stream key: {made['stream_key']}")
    return 0


def _register(arguments: argparse.Namespace) -> int:
    stream = api_of(arguments).post("streams", arguments.slug, "chain", body={})
    show(arguments, stream, "\n".join([f"stream: {stream['slug']}", *chain_lines(stream)]))
    return 0 if stream["state"] in ("registered", "unsigned") else EXIT_FAILED


def _visibility(arguments: argparse.Namespace) -> int:
    made = api_of(arguments).patch(
        "streams", arguments.slug, body={"visibility": arguments.visibility}
    )
    show(arguments, made, f"{made['slug']}: {visibility_text(made)}")
    return 0


def _preview(arguments: argparse.Namespace) -> int:
    wanted = {"preview_s": arguments.seconds}
    changed = api_of(arguments).patch("streams", arguments.slug, body=wanted)
    free_s = changed["preview_s"]
    text = f"the first {free_s} s of a show are free" if free_s else "no free preview"
    show(arguments, changed, f"{changed['slug']}: {text}")
    return 0


def _cap(arguments: argparse.Namespace) -> int:
    api = api_of(arguments)
    asset = asset_of(api)
    is_none = arguments.amount == "none"
    planck = "0" if is_none else planck_of(arguments.amount, None, asset)
    changed = api.patch("streams", arguments.slug, body={"show_cap_planck": planck})
    lines = cap_lines(changed, asset, time.time())
    show(arguments, changed, "\n".join((f"stream: {changed['slug']}", *lines)))
    return 0


def _change(arguments: argparse.Namespace) -> int:
    changed = api_of(arguments).patch(
        "streams", arguments.slug, body={"is_enabled": arguments.is_enabled}
    )
    show(arguments, changed, f"{changed['slug']}: {'open' if changed['is_enabled'] else 'closed'}")
    return 0
