"""Extrinsics by hand: eras, payloads, and one golden extrinsic for each spec version."""

import contextlib
import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering import signing
from metering.chain.node import extrinsic
from metering.chain.node.extrinsic import Era, Terms, era_at
from metering.chain.node.runtime_info import Extension
from metering.chain.node.scale import Hash, compact
from metering.errors import InvalidValueError, RuntimeUnsupportedError
from metering.model.batch import seal
from metering.units import EntryKey
from tests.support.book_fixture import OPERATOR
from tests.support.metering_kit import STREAM, account
from tests.support.runtime_facts import FACTS

TERMS = Terms(
    nonce=5,
    era=era_at(1000, 64),
    birth_hash=Hash(b"\xb1" * 32),
    spec_version=100,
    tx_version=1,
    genesis=FACTS.genesis,
)
BATCH = seal([(EntryKey(STREAM, account(1), 1, 1), 60)], 3, 10)[0]
CALL = extrinsic.settle_call(FACTS, BATCH.seq, BATCH.hash, BATCH.entries)
PERIODS = st.sampled_from([2**power for power in range(2, 17)])


def alive_at(era: Era, number: int) -> int:
    """The birth block that a node computes from the two bytes of an era: `Era::birth`."""
    word = int.from_bytes(era.encode(), "little")
    period = 2 << word % 16
    factor = max(period >> 12, 1)
    phase = (word >> 4) * factor
    return (max(number, phase) - phase) // period * period + phase


@given(PERIODS, st.integers(0, 2**32 - 1))
def test_a_node_finds_the_block_that_was_meant(period, finalized):
    """At every block from birth until the last before death, and at no other."""
    era = era_at(finalized, period)

    assert finalized - max(period >> 12, 1) < era.birth <= finalized
    assert alive_at(era, era.birth) == era.birth
    assert alive_at(era, era.death - 1) == era.birth
    assert alive_at(era, era.death) != era.birth


@pytest.mark.parametrize("period", [0, 3, 5, 63, 131072])
def test_an_era_that_cannot_be_is_refused(period):
    """Powers of two from 4 to 65536."""
    with pytest.raises(InvalidValueError):
        era_at(1, period)


def test_a_golden_era():
    """Substrate's own test: period 64, phase 42 is 0xa502."""
    assert era_at(42, 64).encode().hex() == "a502"


def test_the_golden_extrinsic_of_spec_version_100():
    """Byte for byte, with a fixed signature: a changed byte of it fails here."""
    made = extrinsic.signed_extrinsic(FACTS, CALL, TERMS, OPERATOR.account, bytes(range(64)))

    body = (
        "8400"
        + OPERATOR.account.hex()
        + "01"
        + bytes(range(64)).hex()
        + "8502"  # born at block 1000 of a period of 64: phase 40
        + "14"  # nonce 5
        + "00"  # tip 0
        + "00"  # no metadata hash
        + "0702"
        + "0300000000000000"
        + BATCH.hash.hex()
        + "04"
        + (7).to_bytes(16, "little").hex()
        + account(1).hex()
        + "01000000"
        + "01000000"
        + "3c00000000000000"
    )
    assert made.hex() == compact(len(body) // 2).hex() + body


def test_a_short_payload_is_signed_as_it_is():
    """Call, extra, then what both sides know already."""
    payload = extrinsic.signing_payload(FACTS, b"\x07\x02", TERMS)

    assert payload.hex() == (
        "0702" + "8502" + "14" + "00" + "00"
        + "64000000" + "01000000" + "45" * 32 + "b1" * 32 + "00"
    )  # fmt: skip


@given(st.integers(0, 400))
def test_a_long_payload_is_signed_by_its_hash(length):
    """Above 256 bytes, as every signer does."""
    call = bytes(length)
    plain = call + extrinsic.signing_payload(FACTS, b"", TERMS)

    payload = extrinsic.signing_payload(FACTS, call, TERMS)

    hashed = hashlib.blake2b(plain, digest_size=32).digest()
    assert payload == (hashed if len(plain) > 256 else plain)


def test_what_was_signed_can_be_read_and_verified():
    """By anybody who has the bytes."""
    made = extrinsic.sign(FACTS, CALL, TERMS, OPERATOR.account, OPERATOR.sign)

    signed = extrinsic.parse(made)

    assert signed.account == OPERATOR.account
    assert signed.body.endswith(CALL)
    payload = extrinsic.signing_payload(FACTS, CALL, TERMS)
    assert signing.is_signed(signed.account, payload, signed.signature)


@given(st.integers(0, 200), st.integers(1, 255))
def test_any_other_byte_is_another_extrinsic(at, flip):
    """It parses otherwise or not at all, and has another hash."""
    made = bytearray(extrinsic.sign(FACTS, CALL, TERMS, OPERATOR.account, OPERATOR.sign))
    before = bytes(made)
    at %= len(made)
    made[at] ^= flip

    assert extrinsic.extrinsic_hash(bytes(made)) != extrinsic.extrinsic_hash(before)
    with contextlib.suppress(InvalidValueError):
        assert extrinsic.parse(bytes(made)) != extrinsic.parse(before)


def test_an_unknown_extension_stops_signing_by_name():
    """What it adds is not known, so no node would take our signature."""
    facts = replace(FACTS, extensions=(*FACTS.extensions, Extension("CheckMoon", "u8", "")))

    with pytest.raises(RuntimeUnsupportedError, match="CheckMoon"):
        extrinsic.signing_payload(facts, CALL, TERMS)

    assert any("CheckMoon" in fault for fault in facts.faults())


def test_an_unknown_extension_that_adds_nothing_is_none_of_our_business():
    """AuthorizeCall, WeightReclaim and whatever comes next."""
    facts = replace(FACTS, extensions=(Extension("AuthorizeCall", "", ""), *FACTS.extensions))

    assert facts.faults() == ()
    assert extrinsic.signing_payload(facts, CALL, TERMS) == extrinsic.signing_payload(
        FACTS, CALL, TERMS
    )


def test_an_extension_that_changed_its_shape_is_not_filled_in():
    """A known name with other fields would sign something else."""
    changed = tuple(
        replace(extension, extra="u32") if extension.name == "CheckNonce" else extension
        for extension in FACTS.extensions
    )

    with pytest.raises(RuntimeUnsupportedError, match="CheckNonce"):
        extrinsic.signing_payload(replace(FACTS, extensions=changed), CALL, TERMS)


def test_a_runtime_without_the_pallet_says_what_it_lacks():
    """And which name of it."""
    facts = replace(FACTS, calls={})

    with pytest.raises(RuntimeUnsupportedError, match=r"TickStream\.settle"):
        extrinsic.settle_call(facts, 1, BATCH.hash, BATCH.entries)
