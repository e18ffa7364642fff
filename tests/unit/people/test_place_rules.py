"""From where a stream may be watched: networks before countries, denied before allowed."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaserver.http.client_address import parse
from mediaserver.people.place_rules import (
    OWN,
    PlaceJudge,
    PlaceRules,
    Refusal,
    faults,
    referrer_refusal,
)
from tests.support.place_cases import ADDRESSES, CASES, COUNTRIES


def country_of(text: str) -> str:
    address = parse(text)
    return next(
        (
            code
            for network, code in COUNTRIES.items()
            if address is not None and address in ipaddress.ip_network(network)
        ),
        "",
    )


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("address", ADDRESSES)
def test_who_may_watch_is_as_the_table_says(name: str, address: str) -> None:
    rules, allowed = CASES[name]

    refusal = PlaceJudge(rules).refusal(parse(address), country_of(address))

    assert (refusal is None) == (address in allowed)


@pytest.mark.parametrize("is_open", [False, True])
def test_without_a_file_rules_of_countries_refuse_or_are_passed_over(is_open: bool) -> None:
    """Closed by default; an allowed network needs no country, and a denied one stays denied."""
    rules = PlaceRules(
        allow_countries=("DE",), allow_networks=("10.0.0.0/8",), deny_networks=("10.9.0.0/16",)
    )
    judge = PlaceJudge(rules, is_open_without_file=is_open)

    assert judge.refusal(parse("192.0.2.1"), None) == (None if is_open else Refusal.COUNTRY_UNKNOWN)
    assert judge.refusal(parse("10.1.1.1"), None) is None
    assert judge.refusal(parse("10.9.1.1"), None) is Refusal.NETWORK


SMALL = st.integers(0, 15)
LISTS = st.lists(st.tuples(SMALL, st.integers(28, 32)), max_size=3)
CODES = st.lists(st.sampled_from(["DE", "FR", "US"]), max_size=2, unique=True)


@given(SMALL, st.sampled_from(["DE", "FR", "US", "", None]), LISTS, LISTS, CODES, CODES)
def test_any_lists_are_judged_as_a_model_of_sets_judges_them(  # noqa: PLR0917
    last, country, allowed, denied, in_countries, out_countries
) -> None:
    """The model: sets of addresses; what is denied goes first, then what is allowed."""

    def texts(nets):
        return tuple(
            str(ipaddress.ip_network((f"192.0.2.{start}", bits), strict=False))
            for start, bits in nets
        )

    def holds(nets):
        return any(last >> (32 - bits) == start >> (32 - bits) for start, bits in nets)

    rules = PlaceRules(tuple(in_countries), tuple(out_countries), texts(allowed), texts(denied))
    if holds(denied):
        expected = False
    elif holds(allowed):
        expected = True
    elif ((in_countries or out_countries) and country is None) or country in out_countries:
        expected = False
    elif country in in_countries:
        expected = True
    else:
        expected = not (allowed or in_countries)

    refusal = PlaceJudge(rules).refusal(ipaddress.ip_address(f"192.0.2.{last}"), country)

    assert (refusal is None) == expected


@pytest.mark.parametrize(
    ("host", "is_shown"),
    [
        (OWN, True),
        ("shop.example.org", True),
        ("a.b.example.org", True),
        ("example.org", False),
        ("bad.example.org", False),
        ("evilexample.org", False),
        ("", False),
    ],
)
def test_a_page_is_allowed_by_its_host(host: str, is_shown: bool) -> None:
    """Ours always; no page at all is in no list."""
    rules = PlaceRules(allow_referrers=("*.example.org",), deny_referrers=("bad.example.org",))

    assert (referrer_refusal(rules, host) is None) == is_shown


def test_without_an_allowed_page_only_the_denied_ones_are_refused() -> None:
    rules = PlaceRules(deny_referrers=("bad.example.org",))

    assert referrer_refusal(rules, "") is None
    assert referrer_refusal(rules, "other.example") is None
    assert referrer_refusal(rules, "bad.example.org") is Refusal.REFERRER


def test_every_fault_is_told_with_its_list_and_the_remedy() -> None:
    rules = PlaceRules(
        ("DE", "Germany"),
        ("DE", "\u017ft"),
        ("10.0.0.1/8", "::ffff:10.0.0.0/104", "fe80::1%eth0", "x" * 500),
        (),
        ("https://shop.example.org", "a..b", "-a.example", "shop.example.org"),
        ("h" * 300,) * 101,
    )

    found = faults(rules)

    heads = [text.partition(":")[0] for text in found]
    assert heads.count("allow_countries") == 1
    assert heads.count("deny_countries") == 2
    assert heads.count("allow_networks") == 4
    assert heads.count("allow_referrers") == 3
    assert heads.count("deny_referrers") == 1
    assert all("; " in text or "too" in text for text in found)
    assert all(len(text) < 400 for text in found)
    assert faults(PlaceRules(("DE",), (), ("::/0",), ("192.0.2.1",), ("[::1]",))) == []
