"""What production installs is what was tested, to the byte."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
ENTRY = re.compile(
    r"^(\S+)==(\S+)(?: ; [^\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE
)


def locked() -> dict[str, str]:
    """Return the version of each package in the lock."""
    return {canonicalize_name(name): version for name, version, _ in entries()}


def entries() -> list[tuple[str, str, str]]:
    return ENTRY.findall((ROOT / "requirements.lock").read_text())


def constrained() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name): version.split(";")[0].strip() for name, version in pairs}


def needed(name: str, found: set[str]) -> set[str]:
    """Return all that a package needs here, itself left out."""
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        needs = canonicalize_name(requirement.name)
        is_wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if is_wanted and needs not in found:
            found.add(needs)
            needed(needs, found)
    return found


def test_a_l8_each_package_of_the_lock_has_hashes() -> None:
    """A file that somebody exchanged on the way is refused by pip."""
    text = (ROOT / "requirements.lock").read_text()

    assert len(entries()) == len(re.findall(r"^\S+==", text, re.MULTILINE)) > 40


def test_a_l8_the_lock_is_what_the_server_needs() -> None:
    """Nothing is missing, so pip with --require-hashes has no reason to stop; `scripts/lock`."""
    declared = re.search(
        r"^dependencies = \[\n(.*?)^\]",
        (ROOT / "pyproject.toml").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert declared is not None
    own = {
        canonicalize_name(Requirement(text).name)
        for text in re.findall(r'^    "([^"]+)"', declared[1], re.MULTILINE)
        if (marker := Requirement(text).marker) is None or marker.evaluate()
    }
    everything: set[str] = set(own)
    for name in own:
        needed(name, everything)

    assert everything - set(locked()) == set()
    assert "setuptools" in locked()


def test_a_l8_the_lock_has_the_versions_that_were_tested() -> None:
    """One version of a package, in tests and in production; `scripts/lock` after a change."""
    tested = constrained()

    assert {
        name: version for name, version in locked().items() if tested.get(name) != version
    } == {}


def test_a_l8_no_aiohttp_with_known_faults_is_taken() -> None:
    """3.14.0 to 3.14.3 have some; who installs without the lock gets none of them."""
    declared = re.search(r'"(aiohttp[^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert declared is not None

    assert not Requirement(declared[1]).specifier.contains(Version("3.14.3"))
    assert Requirement(declared[1]).specifier.contains(Version(constrained()["aiohttp"]))
