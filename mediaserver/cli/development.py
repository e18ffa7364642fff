"""What only a development chain allows: money of //Alice. Speaks to the node itself.

Imported where it is used: the chain's library takes most of a second to load.
"""

from __future__ import annotations

from typing import Final

from metering import signing
from metering.chain.node.client import Node
from metering.errors import ExtrinsicRejectedError
from metering.escrow import calls
from metering.escrow.call_sender import Clerk
from metering.escrow.call_service import Desk
from metering.signing import KeyPair
from metering.units import AccountId

ALICE_SEED: Final = bytes.fromhex(
    "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"
)
"""``//Alice`` of the well-known development phrase: whoever has a development chain has it."""
_REQUEST_S: Final = 30.0


def alice() -> KeyPair:
    """Return the key that holds the money of a development chain."""
    return signing.from_seed(ALICE_SEED)


async def fund(url: str, account: AccountId, planck: int) -> tuple[int, int]:
    """Send an account money of //Alice; return the block, and what it has free then.

    Raises:
        ExtrinsicRejectedError: //Alice has not as much, as on any chain that carries money.
        ChainUnavailableError: No node answers, or it is not final in time.
    """
    signer = alice()
    async with Node(url, _REQUEST_S) as node:
        clerk = Clerk(Desk(node))
        if await clerk.free(signer.account) <= planck:
            raise ExtrinsicRejectedError(
                f"//Alice has no {planck} planck at {url}: is it a development chain?"
            )
        block = await clerk.do(signer, calls.transfer(account, planck))
        return block, await clerk.free(account)
