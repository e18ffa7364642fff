"""What is wrong with who lets viewers in is told in words, all at once."""

from dataclasses import replace

import pytest

from mediaserver.people.settings import WatchIssuer, WatchSettings
from mediaserver.settings.records import Settings
from mediaserver.settings.watch_rules import ISSUERS_MAX, watch_faults

GOOD = WatchIssuer("https://a.example", "https://live.example", "https://a.example/keys")


def faults(*issuers: WatchIssuer) -> list[str]:
    return list(watch_faults(replace(Settings(), watch=WatchSettings(issuers))))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"issuer": ""}, "[0].issuer:"),
        ({"audience": ""}, "[0].audience:"),
        ({"jwks_url": ""}, "[0].jwks_url:"),
        ({"jwks_file": "keys.json"}, "[0].jwks_url: give it or jwks_file"),
        ({"jwks_url": "http://a.example/keys"}, "is no https address"),
        ({"jwks_url": "file:///etc/passwd"}, "is no https address"),
        ({"algorithms": ()}, "[0].algorithms:"),
        ({"algorithms": ("ES256", "HS256")}, '"HS256" is not taken'),
        ({"algorithms": ("none",)}, '"none" is not taken'),
        ({"stream_claim": ""}, "[0].stream_claim:"),
        ({"limit_claim": ""}, "[0].limit_claim:"),
        ({"limit_claim": "stream"}, "[0].limit_claim:"),
    ],
)
def test_an_issuer_that_cannot_be_is_named(change, fault) -> None:
    assert faults(GOOD) == []
    [told] = faults(replace(GOOD, **change))
    assert fault in told


def test_issuers_are_few_and_each_is_there_once() -> None:
    assert len(faults(GOOD, GOOD)) == 2
    many = (replace(GOOD, issuer=f"https://{number}.example") for number in range(ISSUERS_MAX + 1))
    [told] = faults(*many)
    assert "list fewer" in told
