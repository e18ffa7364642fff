"""Whatever is asked by whomever: an answer that the API describes, and no failure of the server.

schemathesis makes the requests of the OpenAPI document: those it allows, and those it does not.
"""

import os
import time
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode

from mediaserver.api.operations import openapi
from mediaserver.api.operations.table import OPERATIONS
from tests.support import declared
from tests.support.asked_world import AskedWorld, asked_world

SEED = int(os.environ.get("VILOKANAM_REQUESTS_SEED", "12"))
"""Fixed, as a run of a test decides nothing by luck; another one for a longer search."""
REQUESTS = 3
"""Of each route and kind, legal and illegal, by each caller, each round; the first is plain."""
SECONDS = int(os.environ.get("VILOKANAM_REQUESTS_S", "45"))
"""A round that begins later than this is none."""
ENDING = ("/close", "/erase", "/session", "/sessions", "/takedown", "/roles", "/password")
"""What most others are refused after comes last."""
WEIGHT = {"GET": 0, "POST": 1, "PUT": 2, "PATCH": 3, "DELETE": 4}

pytestmark = pytest.mark.timeout(300)


def described() -> dict[str, Any]:
    """Return the document without its keys: the callers have their own."""
    made = openapi.document()
    made["components"].pop("securitySchemes")
    for item in [item for path in made["paths"].values() for item in path.values()]:
        item.pop("security")
    return made


def name_what_there_is(case: Any, names: dict[str, str]) -> None:
    """Put a name that there is in each place for one."""
    for place in (case.path_parameters, case.query, case.body):
        if isinstance(place, dict):
            place.update({name: names[name] for name in place.keys() & names.keys()})


def ordered(operations: list[Any]) -> list[Any]:
    return sorted(
        operations, key=lambda it: (it.path.endswith(ENDING), WEIGHT[it.method.upper()], it.path)
    )


def ask(world: AskedWorld, case: Any, faults: dict[str, str]) -> None:
    """Send a request as each caller, and hold the answers against the document."""
    sent = case.as_transport_kwargs(base_url=world.url)
    path = sent["url"].removeprefix(world.url)
    for caller in world.callers:
        request = {
            name: value for name, value in sent.items() if name not in ("method", "url", "headers")
        }
        headers = {
            name: value
            for name, value in sent["headers"].items()
            if name not in ("User-Agent", "X-Schemathesis-TestCaseId")
        }
        if "Authorization" not in caller.headers:  # browsers change nothing without it
            headers.setdefault("Content-Type", "application/json")
        answer = caller.ask(sent["method"], path, headers=headers, **request)
        text = answer.content.decode()  # its own `text` guesses at an encoding, slowly
        shown = f"{sent['method']} {path} {request} {headers} {answer.status_code} {text}"
        if answer.status_code == 500:
            faults.setdefault(f"{case.operation.label} fails, {caller.name}", shown)
            continue
        media = answer.headers.get("Content-Type", "").partition(";")[0]
        try:
            declared.hold(sent["method"], path, answer.status_code, media, text)
        except AssertionError as error:
            fault = f"{case.operation.label} {answer.status_code}, {caller.name}"
            faults.setdefault(fault, f"{str(error)[:300]}: {shown}")


def kinds(operation: Any) -> list[GenerationMode]:
    """Return what can be made for a route: of a name in a path alone, any text is legal."""
    has_more = operation.body or operation.query or operation.headers
    return list(GenerationMode) if has_more else [GenerationMode.POSITIVE]


def test_no_request_fails_and_no_answer_is_undescribed(tmp_path) -> None:
    """Every route, by an operator, a creator, a viewer and a stranger; no 500 among the answers."""
    faults: dict[str, str] = {}
    asked: set[str] = set()
    requests = rounds = 0
    with asked_world(tmp_path) as world:
        began = time.monotonic()
        schema = schemathesis.openapi.from_dict(described())
        operations = ordered([found.ok() for found in schema.get_all_operations()])
        while not rounds or time.monotonic() < began + SECONDS:
            rounds += 1
            for operation, mode in [(it, mode) for it in operations for mode in kinds(it)]:

                @hypothesis.seed(SEED + rounds)
                @hypothesis.settings(
                    max_examples=REQUESTS,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate],
                    suppress_health_check=list(HealthCheck),
                )
                @hypothesis.given(
                    case=operation.as_strategy(generation_mode=mode), named=st.integers(0, 4)
                )
                def run(case: Any, named: int) -> None:
                    nonlocal requests
                    requests += len(world.callers)
                    asked.add(case.operation.label)
                    if named:
                        name_what_there_is(case, world.names)
                    ask(world, case, faults)

                run()
                if operation.path.endswith(ENDING):
                    world.sign_in_again()
        log = world.server.log.read_text(errors="replace")
    print(f"VILOKANAM_REQUESTS_SEED={SEED}: {requests} requests in {rounds} rounds")

    assert not faults, "\n".join(f"{name}: {shown[:600]}" for name, shown in sorted(faults.items()))
    assert "api.request.failed" not in log
    assert len(asked) == len(OPERATIONS)
