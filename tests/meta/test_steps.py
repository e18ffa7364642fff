"""Every await between book and chain is a named step, so that the soak can cut off at each."""

import ast
from pathlib import Path

import pytest

from metering.chain.steps import Step, at, set_hook

ROOT = Path(__file__).resolve().parents[2]
MADE = ("at(Step.", "step(Step.")
FILES = (
    "metering/settlement/settler.py",
    "metering/settlement/sealer.py",
    "metering/settlement/exposure.py",
    "metering/chain/pallet_chain.py",
)
PARTS = ("self._sealer.", "self._exposure.")
"""Of the settler: their files are looked at too."""


def awaited(path: Path) -> list[ast.expr]:
    return [
        one.value for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Await)
    ]


@pytest.mark.parametrize("name", FILES)
def test_an_await_that_leaves_the_process_is_a_step(name) -> None:
    """What is not under `at` is a method of the same object, whose awaits are looked at too."""
    silent = []
    for value in awaited(ROOT / name):
        text = ast.unparse(value)
        is_own = text.startswith("self._") and text.partition("(")[0].count(".") == 1
        if not is_own and not text.startswith((*MADE, *PARTS, "self.turn(", "asyncio.sleep(")):
            silent.append(text)
        # A port's method is no method of ours, though it hangs on self.
        if is_own and text.startswith(("self._chain(", "self._node(", "self._book.run(")):
            silent.append(text)

    assert silent == []


def test_every_step_is_made_somewhere() -> None:
    """An empty cell of the soak's table would otherwise be a step that nobody makes."""
    made = {
        value.args[0].attr
        for name in FILES
        for value in awaited(ROOT / name)
        if ast.unparse(value).startswith(MADE)
    }

    assert made == {one.name for one in Step}


async def test_a_hook_hears_of_a_step_before_and_after_it() -> None:
    """In that order; what ends it in between has not made the step."""
    heard: list[str] = []

    async def work() -> int:
        heard.append("work")
        return 7

    set_hook(lambda step, when: heard.append(f"{when} {step.name}"))
    try:
        assert await at(Step.SIGN, work()) == 7
    finally:
        set_hook(None)

    assert heard == ["before SIGN", "work", "after SIGN"]


async def test_a_crash_before_a_step_is_before_it() -> None:
    """Nothing of it has happened."""
    ran = False

    async def work() -> None:
        nonlocal ran
        ran = True

    def crash(step: Step, when: str) -> None:
        raise KeyboardInterrupt

    set_hook(crash)
    try:
        with pytest.raises(KeyboardInterrupt):
            await at(Step.SUBMIT, work())
    finally:
        set_hook(None)

    assert not ran
