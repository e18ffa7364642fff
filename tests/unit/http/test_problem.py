import json

from mediaserver.http.problem import CONTENT_TYPE, media_problem, problem


def test_problem_is_rfc_9457_with_members_for_programs():
    """Every HTTP error has the same shape, and says what to do."""
    body = json.loads(problem(402, "Payment required", "the balance is empty", reason="purse"))

    assert CONTENT_TYPE == "application/problem+json"
    assert body == {
        "type": "about:blank",
        "title": "Payment required",
        "status": 402,
        "detail": "the balance is empty",
        "reason": "purse",
    }
    assert json.loads(problem(404, "x", "y", type="/problems/x"))["type"] == "/problems/x"


def test_a_refused_media_url_keeps_its_bytes():
    """Players and edges get the same body for the same refusal, to the byte."""
    body = media_problem(404, "not_found", "There is nothing at this address.", seconds_left=3)

    assert body == (
        b'{"type": "about:blank", "title": "Not Found", "status": 404, '
        b'"detail": "There is nothing at this address.", "reason": "not_found", "seconds_left": 3}'
    )
