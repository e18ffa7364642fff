"""Who tries wrong keys waits."""

from mediaserver.http.wrong_keys import ADDRESSES_MAX, LONGEST_S, WrongKeys


def test_a_m7_wrong_keys_wait_longer_each_time() -> None:
    """A slip costs nothing worth noticing; a program soon tries one key in four seconds."""
    wrong = WrongKeys()

    waits = [wrong.add("a", 0.0) for _ in range(12)]

    assert waits[0] <= 0.25
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_S


def test_a_m7_others_do_not_wait() -> None:
    """One address's attempts are not another's."""
    wrong = WrongKeys()
    for _ in range(20):
        wrong.add("a", 0.0)

    assert wrong.add("b", 0.0) <= 0.25


def test_a_m7_it_is_forgotten() -> None:
    """Who stops is soon as everybody."""
    wrong = WrongKeys()
    for _ in range(8):
        wrong.add("a", 0.0)

    assert wrong.add("a", 100.0) <= 0.25


def test_a_m7_a_million_addresses_are_bounded() -> None:
    """Nothing is unbounded."""
    wrong = WrongKeys()
    for number in range(2 * ADDRESSES_MAX):
        wrong.add(str(number), 0.0)

    assert len(wrong._counts) <= ADDRESSES_MAX
