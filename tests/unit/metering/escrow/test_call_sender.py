"""A sender makes a call at most once, and says plainly how it went."""

import pytest

from metering import signing as keys
from metering.chain.node.extrinsic import Era, Terms
from metering.chain.node.scale import Hash
from metering.errors import ChainUnavailableError, ExtrinsicRejectedError
from metering.escrow import calls
from metering.escrow.call_client import CallOutcome, Draft, Reading, Verdict
from metering.escrow.call_sender import CallSender

KEY = keys.from_seed(bytes(32))
HASH = Hash(bytes(32))


class FakeCalls:
    """A counter that was told what to answer."""

    def __init__(self, *verdicts, nonce=4, value=None):
        self.verdicts = list(verdicts)
        self.nonce = nonce
        self.value = value
        self.prepared = []
        self.sent = []

    async def read(self, keys, account=None, *, best=False):
        assert account is None or best
        return Reading(9, HASH, self.nonce, tuple(self.value for _ in keys))

    async def prepare(self, account, pallet, name, data, at):
        self.prepared.append((pallet, name, at))
        terms = Terms(self.nonce, Era(64, 9), HASH, 1, 1, HASH)
        return Draft(account, b"\x07\x0f" + data, terms, b"payload")

    async def send(self, draft, signature):
        assert keys.is_signed(draft.account, draft.payload, signature)
        self.sent.append(draft)
        return HASH

    async def verdict(self, _draft, _sent):
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]


def sender(counter, wait_s=5.0):
    return CallSender(counter, wait_s=wait_s, poll_s=0)


async def test_a_call_is_done_when_it_is_final_not_when_it_was_taken():
    """Its block is the finalized one that holds it."""
    counter = FakeCalls(
        Verdict(CallOutcome.WAITING), Verdict(CallOutcome.WAITING), Verdict(CallOutcome.DONE, 12)
    )

    block = await sender(counter).do(KEY, calls.withdraw_credit())

    assert block == 12
    assert counter.prepared == [("TickStream", "withdraw_credit", HASH)]


async def test_nothing_is_signed_when_it_is_done_already():
    """Repeated after a crash, a call that took effect is not made again."""
    counter = FakeCalls(Verdict(CallOutcome.DONE, 12), value=b"there")

    block = await sender(counter).do(
        KEY, calls.register_operator(), depends=(b"k",), unless=lambda read: bool(read.values[0])
    )

    assert block == 0
    assert counter.sent == []


@pytest.mark.parametrize(
    ("verdict", "error", "words"),
    [
        (
            Verdict(CallOutcome.FAILED, 3, "TickStream.StreamExists"),
            ExtrinsicRejectedError,
            "StreamExists",
        ),
        (
            Verdict(CallOutcome.EXPIRED, 0, "another took its nonce"),
            ChainUnavailableError,
            "repeat it",
        ),
        (Verdict(CallOutcome.WAITING), ChainUnavailableError, "not final after"),
    ],
)
async def test_what_did_not_happen_is_said(verdict, error, words):
    """Refused for good, refused for now, or not known yet: three answers, never a false success."""
    with pytest.raises(error, match=words):
        await sender(FakeCalls(verdict), wait_s=0.01).do(KEY, calls.withdraw_credit())
