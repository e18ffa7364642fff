"""Keys of issuers: how often they are looked up, and who waits for that."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from joserfc.jwk import ECKey, RSAKey

from mediaserver.people.jwks import (
    AGAIN_S,
    ANSWER_BYTES_MAX,
    FAILED_S,
    LIFE_S,
    IssuerError,
    Jwks,
)
from mediaserver.people.settings import ALGORITHMS
from metering.errors import InvalidValueError
from tests.support.clock import FakeClock
from tests.support.jwt_issuer import JwtIssuer


@pytest.fixture
async def issuer() -> AsyncIterator[JwtIssuer]:
    async with JwtIssuer() as started:
        yield started


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(clock) -> Jwks:
    return Jwks(clock)


async def test_an_unknown_key_is_looked_up_at_most_once_a_minute(issuer, keys, clock) -> None:
    assert (await keys.claims(issuer.token(), ALGORITHMS, issuer.url))["sub"] == "ann"
    invented = [issuer.token(header={"kid": f"x{number}"}) for number in range(3)]
    for _ in range(2):
        asked = (keys.claims(token, ALGORITHMS, issuer.url) for token in invented)
        assert {type(e) for e in await asyncio.gather(*asked, return_exceptions=True)} == {
            InvalidValueError
        }
    assert issuer.requests == 1

    newer = RSAKey.generate_key(2048, {"kid": "second"})
    issuer.published = [newer]
    clock.move(AGAIN_S + 1)
    assert await keys.claims(issuer.token(newer), ALGORITHMS, issuer.url)
    # The old one was taken back, and opens nothing more.
    with pytest.raises(InvalidValueError):
        await keys.claims(issuer.token(), ALGORITHMS, issuer.url)
    assert issuer.requests == 2


async def test_an_algorithm_that_is_not_listed_opens_nothing(issuer, keys) -> None:
    curve = ECKey.generate_key("P-256", {"kid": "second"})
    issuer.published = [issuer.key, curve]
    assert await keys.claims(issuer.token(curve), ["ES256"], issuer.url)
    for token in (issuer.token(), issuer.forged("none"), issuer.forged("HS256", b"x")):
        with pytest.raises(InvalidValueError):
            await keys.claims(token, ["ES256"], issuer.url)


async def test_a_key_that_was_taken_back_is_forgotten_within_the_hour(issuer, keys, clock) -> None:
    assert await keys.claims(issuer.token(), ALGORITHMS, issuer.url)
    issuer.published = [ECKey.generate_key("P-256", {"kid": "second"})]
    clock.move(LIFE_S + 1)
    with pytest.raises(InvalidValueError):
        await keys.claims(issuer.token(), ALGORITHMS, issuer.url)


async def test_who_has_a_known_key_waits_for_no_look_up(issuer, keys, clock) -> None:
    assert await keys.claims(issuer.token(), ALGORITHMS, issuer.url)
    clock.move(AGAIN_S + 1)
    issuer.may_answer.clear()
    issuer.asked.clear()
    unknown = asyncio.create_task(
        keys.claims(issuer.token(header={"kid": "x"}), ALGORITHMS, issuer.url)
    )
    await issuer.asked.wait()
    assert await keys.claims(issuer.token(), ALGORITHMS, issuer.url)
    assert not unknown.done()
    issuer.may_answer.set()
    with pytest.raises(InvalidValueError):
        await unknown


async def test_keys_that_cannot_be_had_are_asked_for_once_for_all(issuer, keys, clock) -> None:
    issuer.padding = ANSWER_BYTES_MAX
    asked = (keys.claims(issuer.token(), ALGORITHMS, issuer.url) for _ in range(5))
    failed = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(error) for error in failed} == {IssuerError}
    assert issuer.requests == 1
    issuer.padding = 0
    clock.move(FAILED_S + 1)
    assert await keys.claims(issuer.token(), ALGORITHMS, issuer.url)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keys": 1}', '{"keys": [{"kty": "RSA"}]}'])
async def test_a_file_without_keys_is_named(keys, issuer, tmp_path, content) -> None:
    place = tmp_path / "keys.json"
    with pytest.raises(IssuerError, match=r"keys\.json cannot be read"):
        await keys.claims(issuer.token(), ALGORITHMS, str(place))
    place.write_text(content)
    with pytest.raises(IssuerError, match=r"keys\.json"):
        await Jwks(FakeClock()).claims(issuer.token(), ALGORITHMS, str(place))


async def test_keys_may_be_in_a_file(keys, issuer, tmp_path) -> None:
    place = tmp_path / "keys.json"
    place.write_text(json.dumps(issuer.jwks()))
    assert await keys.claims(issuer.token(), ALGORITHMS, str(place))
