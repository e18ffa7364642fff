"""Addresses that the configuration names and the machine does not have."""

from __future__ import annotations

import pytest

from mediaserver.cli.main import main
from mediaserver.errors import CapacityError
from mediaserver.ingest.bind_check import unusable_addresses
from mediaserver.ingest.ice import IceConnection
from mediaserver.ingest.settings import IngestSettings
from mediaserver.processes.bootstrap import StartRefusedError
from mediaserver.processes.listen_check import check_bind_addresses

ELSEWHERE = "203.0.113.7"


def _drop(_datagram: bytes) -> None:
    """Nothing is received here."""


def connection(*addresses: str) -> IceConnection:
    return IceConnection(IngestSettings(bind_addresses=addresses), "abcd", "p" * 22, _drop)


def test_f24_address_of_another_machine_is_named_with_the_remedy() -> None:
    """Who binds the public address behind a NAT means advertise_addresses."""
    assert not unusable_addresses(("127.0.0.1", "0.0.0.0"))
    faults = unusable_addresses(("127.0.0.1", ELSEWHERE, "2001:db8::7"))

    assert list(faults) == [ELSEWHERE, "2001:db8::7"]
    assert faults[ELSEWHERE].startswith(f"ingest.bind_addresses[1]: {ELSEWHERE} is not an address")
    assert all("ingest.advertise_addresses" in fault for fault in faults.values())


def test_f24_o7_config_check_and_start_say_so(tmp_path, capsys) -> None:
    """It is found before the first publisher."""
    file = tmp_path / "a.toml"
    file.write_text(f'[ingest]\nbind_addresses = ["{ELSEWHERE}", "127.0.0.1"]\n')

    assert main(["config", "check", str(file)]) == 2
    assert "advertise_addresses" in capsys.readouterr().err
    check_bind_addresses((ELSEWHERE, "127.0.0.1"))
    with pytest.raises(StartRefusedError, match="advertise_addresses"):
        check_bind_addresses((ELSEWHERE,))


async def test_f24_one_bad_address_of_two_leaves_the_good_one() -> None:
    """A machine that lost an address still takes publishers on the other."""
    ice = connection(ELSEWHERE, "127.0.0.1")
    candidates = await ice.open()
    await ice.close()

    assert [candidate.split()[4] for candidate in candidates] == ["127.0.0.1"]


async def test_f24_without_any_address_the_publisher_reads_which() -> None:
    """503 with the setting instead of a fault of the server."""
    ice = connection(ELSEWHERE)
    with pytest.raises(CapacityError, match="advertise_addresses"):
        await ice.open()
    await ice.close()
