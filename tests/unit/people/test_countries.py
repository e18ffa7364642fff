"""The file of countries: read when wanted and when it changes, kept while it is damaged."""

import asyncio
import os
from ipaddress import ip_address
from pathlib import Path

import pytest

from mediaserver.people import countries
from mediaserver.people.countries import Countries
from mediaserver.people.settings import WatchSettings
from tests.support import mmdb

DE = ip_address("192.0.2.9")


def settings(path: Path) -> WatchSettings:
    return WatchSettings(country_file=str(path))


@pytest.fixture(autouse=True)
def soon(monkeypatch) -> None:
    monkeypatch.setattr(countries, "LOOK_PERIOD_S", 0.01)


async def changed(found: Countries, version: int) -> None:
    async with asyncio.timeout(5):
        while found.version == version:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("form", [mmdb.NESTED, mmdb.FLAT])
async def test_a_file_is_read_and_read_again_when_it_is_replaced(tmp_path, form) -> None:
    path = tmp_path / "c.mmdb"
    mmdb.write(path, {"192.0.2.0/24": "DE", "2001:db8::/32": "AT"}, form=form)
    async with Countries(settings(path)) as found:
        assert found.of(DE) is None  # nobody wants it yet
        await found.ready()
        assert (found.of(DE), found.of(ip_address("2001:db8::1"))) == ("DE", "AT")
        assert found.of(ip_address("10.0.0.1")) == ""

        version = found.version
        mmdb.write(path, {"192.0.2.0/24": "FR"}, form=form)
        await changed(found, version)

        assert found.of(DE) == "FR"
        assert found.wanted_fault == ""


async def test_what_was_read_stays_while_the_file_is_damaged_or_away(tmp_path) -> None:
    """A copy that is under way stops nobody; what is wrong is said."""
    path = tmp_path / "c.mmdb"
    mmdb.write(path, {"192.0.2.0/24": "DE"})
    async with Countries(settings(path)) as found:
        await found.ready()
        whole = path.read_bytes()
        for harm in (lambda: path.write_bytes(whole[: len(whole) // 2]), path.unlink):
            version = found.version
            harm()
            await changed(found, version)
            assert found.of(DE) == "DE"
            assert str(path) in found.wanted_fault

        version = found.version
        path.write_bytes(whole)
        await changed(found, version)
        assert found.wanted_fault == ""


@pytest.mark.parametrize("content", [None, b"", b"\0" * 5000, b"\xab\xcd\xefMaxMind.com" * 3])
async def test_a_file_that_cannot_be_read_knows_no_country(tmp_path, content) -> None:
    path = tmp_path / "c.mmdb"
    if content is not None:
        path.write_bytes(content)
    async with Countries(settings(path)) as found:
        await found.ready()
        assert found.of(DE) is None
        assert found.is_known
        assert "cannot be read" in found.fault


async def test_no_file_is_a_fault_only_where_one_is_wanted() -> None:
    async with Countries(WatchSettings()) as found:
        assert found.wanted_fault == ""
        await found.ready()
        assert "country_file" in found.wanted_fault
        found.want(is_wanted=False)
        assert found.wanted_fault == ""


def test_any_bytes_are_refused_and_none_hangs(tmp_path) -> None:
    """A file is the operator's, and still: what is read of it never ends a process."""
    path = tmp_path / "c.mmdb"
    mmdb.write(path, {"192.0.2.0/24": "DE", "198.51.100.0/24": "FR"})
    whole = bytearray(path.read_bytes())
    found = Countries(settings(path))
    for place in range(len(whole)):
        harmed = bytearray(whole)
        harmed[place] ^= 0xFF
        path.write_bytes(harmed)
        os.utime(path, ns=(place, place))
        found._look()
        assert found.of(DE) is None or isinstance(found.of(DE), str)
