"""When an account's players stop by themselves."""

import pytest

from mediaserver.people import player_settings
from mediaserver.people.player_settings import PlayerSettings, faults
from metering.units import AccountId
from tests.support.people_fixture import make_people


def test_settings_are_kept_by_account_and_replaced() -> None:
    fixture = make_people()
    (ann,), other = fixture.accounts, AccountId(b"\x01" * 32)
    with fixture.book.together() as connection:
        assert player_settings.of(connection, ann) == PlayerSettings(60, 14_400)
        for wanted in (PlayerSettings(5, 600), PlayerSettings(0, 0)):
            player_settings.put(connection, ann, wanted, 1)
            assert player_settings.of(connection, ann) == wanted
        assert player_settings.of(connection, other) == PlayerSettings()


@pytest.mark.parametrize(
    ("wanted", "wrong"),
    [
        (PlayerSettings(), []),
        (PlayerSettings(0, 0), []),
        (PlayerSettings(5, 60), []),
        (PlayerSettings(4, 86_401), ["hidden_stop_s: 4 is", "ask_after_s: 86401 is"]),
        (PlayerSettings(-1, 59), ["hidden_stop_s: -1 is", "ask_after_s: 59 is"]),
    ],
)
def test_every_fault_is_told(wanted, wrong) -> None:
    shown = faults(wanted)
    assert len(shown) == len(wrong)
    for fault, begin in zip(shown, wrong, strict=True):
        assert fault.startswith(begin)
