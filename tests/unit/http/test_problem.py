import json

from mediaserver.http.problem import CONTENT_TYPE, problem


def test_problem_is_rfc_9457_with_members_for_programs():
    """Every HTTP error has the same shape, and says what to do."""
    body = json.loads(problem(402, "Payment required", "the purse is empty", reason="purse"))

    assert CONTENT_TYPE == "application/problem+json"
    assert body == {
        "type": "about:blank",
        "title": "Payment required",
        "status": 402,
        "detail": "the purse is empty",
        "reason": "purse",
    }
    assert json.loads(problem(404, "x", "y", type="/problems/x"))["type"] == "/problems/x"
