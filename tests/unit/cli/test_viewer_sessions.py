"""`vilokanam viewers sessions` and `end-sessions`, as a person reads them."""

import pytest

from mediaserver.cli import viewers
from mediaserver.cli.clock_text import clock_text
from mediaserver.cli.main import main


class Api:
    """Answers as a server with one session of one viewer would."""

    def __init__(self, ended: int) -> None:
        self.ended = ended

    def get(self, *_: str):
        times = {"created_ms": 1_700_000_000_000, "ends_ms": 1_700_000_060_000}
        return {"sessions": [{"session": "00c4", "stream": "cam", "state": "live", **times}]}

    def delete(self, *_: str):
        return {"ended": self.ended}


@pytest.mark.parametrize(
    ("ended", "text"),
    [(0, "0 ended\n"), (1, "1 ended: their links mint nothing and play nothing more\n")],
)
def test_o25_nothing_is_said_of_links_that_nobody_has(monkeypatch, capsys, ended, text):
    """None ended, and still "their links"."""
    monkeypatch.setattr(viewers, "api_of", lambda _: Api(ended))

    assert main(["viewers", "end-sessions", "ann"]) == 0
    assert capsys.readouterr().out == text


def test_o25_times_are_told_as_elsewhere(monkeypatch, capsys):
    """In the form of all other commands."""
    monkeypatch.setattr(viewers, "api_of", lambda _: Api(0))

    assert main(["viewers", "sessions", "ann"]) == 0
    out = capsys.readouterr().out
    assert clock_text(1_700_000_000) in out
    assert clock_text(1_700_000_060) in out
