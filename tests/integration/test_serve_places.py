"""Rules of place at the fast path: every kind of stream, rule, address and thing that is asked."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from mediaserver.hls.known_policy import KnownPolicy
from mediaserver.http.edge_key import EDGE_HEADER, VIA_HEADER
from mediaserver.ipc.messages import AddressRules, Policy
from mediaserver.people import countries
from mediaserver.people.countries import Countries
from mediaserver.people.place_rules import PlaceRules
from mediaserver.people.settings import WatchSettings
from metering.units import Asset
from tests.support import mmdb
from tests.support.builders import INIT, STREAM
from tests.support.place_cases import ADDRESSES, CASES, COUNTRIES, DE, FR
from tests.support.serve_harness import EDGE_KEY, KEYS, ServeHarness, serving

SHOW = "/cam/5/source"
PUBLIC = Policy((), KEYS, Asset(), "", "", "", is_top_up_open=False, replay_from_ms=0)
KINDS = {
    # What control says of a stream with rules, whether it is priced, what no token is answered.
    "public": (replace(PUBLIC, unlisted=(STREAM,)), False, 401),
    "public, priced": (replace(PUBLIC, unlisted=(STREAM,)), True, 401),
    "by invitation": (replace(PUBLIC, invited=(STREAM,)), False, 404),
    "by invitation, priced": (replace(PUBLIC, invited=(STREAM,)), True, 404),
}
IN_NO_LIST = UUID(int=99)


def ruled(policy: Policy, rules: PlaceRules, stream: UUID | None = STREAM) -> Policy:
    item = AddressRules(
        stream,
        rules.allow_countries,
        rules.deny_countries,
        rules.allow_networks,
        rules.deny_networks,
    )
    return replace(policy, address_rules=(item,))


@pytest.fixture
async def found(tmp_path: Path) -> AsyncIterator[Countries]:
    mmdb.write(tmp_path / "c.mmdb", COUNTRIES)
    async with Countries(WatchSettings(country_file=str(tmp_path / "c.mmdb"))) as made:
        await made.ready()
        yield made


@pytest.fixture
async def harness(found: Countries) -> AsyncIterator[ServeHarness]:
    async with serving(found) as made:
        yield made


def places(harness: ServeHarness) -> dict[str, str]:
    return {
        "multivariant": "/cam/index.m3u8",
        "playlist": f"{SHOW}/media.m3u8",
        "init": f"{SHOW}/init-{INIT}.mp4",
        "part": harness.part(19, 3),
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_every_thing_that_is_asked_is_given_where_the_table_says(
    harness: ServeHarness, kind: str
) -> None:
    """At the origin, and to an edge that asks; what is refused is claimed by nobody."""
    policy, is_priced, without_token = KINDS[kind]
    harness.gate.is_priced_now = is_priced
    edge = {EDGE_HEADER.replace("-", "_"): EDGE_KEY.decode()}
    edge |= {VIA_HEADER.replace("-", "_"): EDGE_KEY.decode()}
    below = f"/w/{harness.token()}"
    for name, (rules, allowed) in CASES.items():
        harness.handler.set_policy(KnownPolicy(ruled(policy, rules)))
        for address in ADDRESSES:
            expected = 200 if address in allowed else 403
            claimed = len(harness.gate.claimed)
            for thing, path in places(harness).items():
                what = (kind, name, address, thing)
                answer = await harness.get(below + path, X_Forwarded_For=address)
                assert (what, answer.status) == (what, expected)
                if expected == 403:
                    assert (await answer.json())["reason"] == "place"
                    assert answer.headers["Cache-Control"] == "no-store"
                answer = await harness.get(
                    "/_edge/authorise",
                    X_Original_URI=below + path,
                    X_Forwarded_For=address,
                    **edge,
                )
                assert (what, answer.status) == (what, 204 if expected == 200 else 403)
                answer = await harness.get(path, X_Forwarded_For=address)
                assert (what, answer.status) == (what, without_token)
            made = len(harness.gate.claimed) - claimed
            assert made == (2 if is_priced and expected == 200 else 0)


async def test_rules_of_the_server_hold_without_a_token_on_a_public_free_stream(harness) -> None:
    """By address alone; another stream's rules are none of its."""
    for name, (rules, allowed) in CASES.items():
        for stream, expect in ((None, allowed), (IN_NO_LIST, set(ADDRESSES))):
            harness.handler.set_policy(KnownPolicy(ruled(PUBLIC, rules, stream)))
            for address in ADDRESSES:
                for thing, path in places(harness).items():
                    answer = await harness.get(path, X_Forwarded_For=address)
                    what = (name, address, thing)
                    assert (what, answer.status) == (what, 200 if address in expect else 403)


async def test_who_waits_when_the_rules_change_gets_nothing(harness: ServeHarness) -> None:
    """Nor does who plays already: the next thing that they ask for is refused."""
    policy = replace(PUBLIC, unlisted=(STREAM,))
    harness.handler.set_policy(KnownPolicy(policy))
    below = f"/w/{harness.token()}"
    paths = (harness.part(20, 2), f"{SHOW}/media.m3u8?_HLS_msn=20&_HLS_part=2")
    asked = [
        asyncio.create_task(harness.get(below + path, X_Forwarded_For=address))
        for path in paths
        for address in (DE, FR)
    ]
    await harness.waiting(3)

    harness.handler.set_policy(KnownPolicy(ruled(policy, PlaceRules(deny_countries=("FR",)))))
    slot = harness.show.slot(2)
    harness.tell(*(harness.show.part(each.name, slot) for each in harness.show.renditions))

    statuses = [(await answer).status for answer in asked]
    assert [status for status in statuses[1::2] if status != 503] in ([403], [403, 403])
    assert 200 in statuses[::2]
    assert 200 not in statuses[1::2]
    harness.handler.set_policy(KnownPolicy(policy))
    assert (await harness.get(below + paths[0], X_Forwarded_For=FR)).status == 200


async def test_an_address_that_a_client_may_have_written_passes_no_rule(harness) -> None:
    """Headers that disagree, and one that a stranger's connection brings along."""
    rules = PlaceRules(deny_countries=("FR",))
    harness.handler.set_policy(KnownPolicy(ruled(replace(PUBLIC, unlisted=(STREAM,)), rules)))
    path = f"/w/{harness.token()}/cam/index.m3u8"

    forged = await harness.get(path, X_Forwarded_For=DE, Forwarded=f"for={FR}")
    appended = await harness.get(path, X_Forwarded_For=f"{DE}, {FR}")
    right = await harness.get(path, X_Forwarded_For=f"{FR}, {DE}")

    assert [forged.status, appended.status, right.status] == [403, 403, 200]


async def test_a_new_file_of_countries_counts_for_who_plays(
    harness: ServeHarness, found: Countries, tmp_path, monkeypatch
) -> None:
    rules = PlaceRules(allow_countries=("DE",))
    harness.handler.set_policy(KnownPolicy(ruled(replace(PUBLIC, unlisted=(STREAM,)), rules)))
    path = f"/w/{harness.token()}/cam/index.m3u8"
    assert (await harness.get(path, X_Forwarded_For=DE)).status == 200
    monkeypatch.setattr(countries, "LOOK_PERIOD_S", 0.01)
    mmdb.write(tmp_path / "c.mmdb", {"192.0.2.0/24": "FR"})

    async with asyncio.timeout(5):
        while (await harness.get(path, X_Forwarded_For=DE)).status == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    assert (await harness.get(path, X_Forwarded_For=DE)).status == 403


@pytest.mark.parametrize(("failure", "status"), [("closed", 403), ("open", 200)])
async def test_without_the_file_the_stated_policy_holds(tmp_path, failure, status) -> None:
    """In the moments before it was looked for, players are told to come again."""
    settings = WatchSettings(country_file=str(tmp_path / "none.mmdb"), country_failure=failure)
    async with serving(unread := Countries(settings)) as harness:
        policy = ruled(replace(PUBLIC, unlisted=(STREAM,)), PlaceRules(deny_countries=("FR",)))
        harness.handler.set_policy(KnownPolicy(policy))
        path = f"/w/{harness.token()}/cam/index.m3u8"
        assert (await harness.get(path, X_Forwarded_For=DE)).status == 503

        async with unread:
            await unread.ready()
            assert (await harness.get(path, X_Forwarded_For=DE)).status == status
