"""What a command says of nothing, and of words that it cannot read."""

import argparse

import pytest

from mediaserver.cli import sessions, stream_splits
from mediaserver.cli.errors import EXIT_USAGE, CliError

WHO = "0x" + "12" * 32


class Empty:
    """A server that has none of anything."""

    def get(self, *_: object, **__: object) -> dict[str, object]:
        return {"sessions": [], "bars": [], "next_before": None}


@pytest.mark.parametrize(
    ("words", "said"), [("sessions list", "no players"), ("bars list", "nobody is barred")]
)
def test_an_empty_list_says_that_it_is_empty(words, said, monkeypatch, capsys) -> None:
    """A table without rows leaves open whether it was asked at all."""
    monkeypatch.setattr(sessions, "api_of", lambda _: Empty())
    parser = argparse.ArgumentParser()
    sessions.add(parser.add_subparsers())
    arguments = parser.parse_args(words.split())

    assert arguments.run(arguments) == 0
    assert capsys.readouterr().out == f"{said}\n"


@pytest.mark.parametrize("texts", [[f"{WHO}=10"], [f"{WHO}=10%", f"{WHO}=5%"]])
def test_a_wrong_part_is_a_wrong_command_line(texts) -> None:
    """Exit code 2, as docs/operator/money.md says."""
    with pytest.raises(CliError) as refused:
        stream_splits.payees_of(texts)

    assert refused.value.code == EXIT_USAGE
