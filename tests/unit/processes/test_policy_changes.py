"""Who waits for a policy gets one that was made after they asked."""

import asyncio

from mediaserver.processes.policy_changes import REST_MAX_S, PolicyChanges


async def test_an_answer_waits_for_a_policy_that_was_begun_after_the_change() -> None:
    """One that was being made when something changed may have read what was before."""
    changes = PolicyChanges()
    early = changes.begin()
    changes.ask()
    waiting = asyncio.create_task(changes.sent())
    await changes.finish(early)
    await asyncio.sleep(0)
    assert not waiting.done()

    await changes.next(60)
    await changes.finish(changes.begin())

    await asyncio.wait_for(waiting, 5)


async def test_who_asked_for_what_was_sent_already_does_not_wait() -> None:
    changes = PolicyChanges()
    changes.ask()
    await changes.finish(changes.begin())

    await asyncio.wait_for(changes.sent(60), 5)


async def test_a_policy_that_cannot_be_made_keeps_no_answer_back() -> None:
    changes = PolicyChanges()
    changes.ask()

    await asyncio.wait_for(changes.sent(timeout_s=0.01), 5)


async def test_changes_without_end_share_policies_that_take_long() -> None:
    """Others get the book and the processor meanwhile; nobody waits for half a second more."""
    now_s = 0.0
    changes, loop = PolicyChanges(lambda: now_s), asyncio.get_running_loop()
    took_s = []
    for made_s in (0.0, 0.1, 60.0):
        changes.begin()
        now_s += made_s
        changes.ask()
        began_s = loop.time()
        await changes.next(60)
        took_s.append(loop.time() - began_s)

    assert round(took_s[0], 1) == 0
    assert took_s[1] >= 3 * 0.1 * 0.99
    assert REST_MAX_S * 0.99 <= took_s[2] < 5
