"""The wheel: what it holds, and how soon it earns in an empty environment without Node."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.servers.vilokanam import ROOT, Server, get, running, until

pytestmark = pytest.mark.timeout(240)

KEPT = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "chain/artefacts")
ROOMS = ("mediaserver", "metering", "cdn")
PAGE = Path("mediaserver/api/static")
FIRST_BILLED_MAX_S = 20.0


def build(tree: Path) -> zipfile.ZipFile:
    """Return the wheel of a tree, built as `pip wheel .` does; without network where it can be."""
    version = int(importlib.metadata.version("setuptools").partition(".")[0])
    how = ["--no-build-isolation", "--no-index"] if version >= 77 else []
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *how, "-w", tree / "out", tree],
        check=True,
        timeout=120,
    )
    (wheel,) = (tree / "out").glob("*.whl")
    return zipfile.ZipFile(wheel)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built from, with the page of this checkout."""
    assert (ROOT / PAGE / "index.html").is_file(), "the watch page is not built: make page"
    tree = tmp_path_factory.mktemp("tree")
    for name in KEPT:
        source, target = ROOT / name, tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    for room in ROOMS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / room, tree / room, ignore=ignored)
    return tree


@pytest.fixture(scope="module")
def wheel(tree: Path) -> zipfile.ZipFile:
    return build(tree)


@pytest.fixture(scope="module")
def installed(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bin folder of an empty environment with the wheel and what it declares, no more."""
    began = time.monotonic()
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, symlinks=True, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    subprocess.run(
        [*pip, "install", "-q", "--no-index", "--no-deps", str(wheel.filename)],
        check=True,
        timeout=60,
    )
    names = closure("vilokanam", wheel)
    for name in sorted(names):
        link(name, site)
    subprocess.run([*pip, "check"], check=True, timeout=60)
    print(f"\ninstalled with {len(names)} packages in {time.monotonic() - began:.1f} s")
    yield folder / "bin"
    shutil.rmtree(folder)


def closure(root: str, wheel: zipfile.ZipFile) -> set[str]:
    """Return the packages that the wheel asks for, and those that they ask for."""
    (file,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(file).decode()
    asked = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    known: set[str] = set()
    while asked:
        wanted = Requirement(asked.pop())
        name = canonicalize_name(wanted.name)
        if name in known or name == root:
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            known.add(name)
            asked += importlib.metadata.requires(wanted.name) or []
    return known


def link(name: str, site: Path) -> None:
    """Install a package of this environment into another: its files, linked."""
    for file in importlib.metadata.files(name) or []:
        source, target = Path(str(file.locate())), site / file
        if ".." in file.parts or not source.is_file():
            continue  # scripts
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)


def test_wheel_holds_the_page_and_the_chains_artefacts(wheel: zipfile.ZipFile) -> None:
    """Who installs it needs no checkout, no Node and no Rust."""
    held = set(wheel.namelist())
    page = {str(file.relative_to(ROOT)) for file in (ROOT / PAGE).rglob("*") if file.is_file()}
    artefacts = {
        f"metering/testing/runtime/{file.name}": file
        for file in (ROOT / "chain/artefacts").iterdir()
        if not file.name.startswith(".")
    }

    assert len(page) > 2
    assert sorted(page - held) == []
    assert sorted(set(artefacts) - held) == []
    assert [name for name, file in artefacts.items() if wheel.read(name) != file.read_bytes()] == []
    assert [name for name in held if name.startswith(("tests/", "web/", "bench/"))] == []


def test_o22_removed_module_and_asset_are_in_no_later_wheel(wheel, tree) -> None:
    """An upgrade by `git pull` and `pip install .` kept what an earlier version had."""
    gone = {"mediaserver/gone.py", "mediaserver/api/static/assets/gone.js"}
    for name in gone:
        (tree / name).write_text("")
    first = set(build(tree).namelist())
    for name in gone:
        (tree / name).unlink()

    second = set(build(tree).namelist())

    assert gone <= first
    assert second == first - gone


def test_installed_wheel_bills_its_first_second_within_20_s(installed: Path, tmp_path) -> None:
    """No Node, no Redis of the machine, nothing that is not declared: one command, and it earns."""
    server = Installed(tmp_path, installed)
    assert shutil.which("node", path=str(installed)) is None
    where = server.output("-c", "import mediaserver; print(mediaserver.__file__)").strip()
    assert Path(where).is_relative_to(installed.parent)

    began = time.monotonic()
    with running(server):
        ready_s = time.monotonic() - began
        made = server.api("POST", "streams", {"slug": "cam", "planck_per_s": "1000000"})
        server.api("POST", "viewers", {"name": "ann"})
        credit = {"planck": "1000000000"}
        server.api("POST", "viewers/ann/credits", credit, Idempotency_Key="first")
        minted = server.api("POST", "tokens", {"viewer": "ann", "stream": "cam"})
        url = server.url + minted["path"]
        publisher = server.publish("cam", made["stream_key"])
        try:
            billed = until(lambda: watch_once(url), "a billed second", 60)
            billed_s = time.monotonic() - began
            page = ask(url)
        finally:
            publisher.terminate()
            publisher.wait(timeout=15)

    print(f"ready after {ready_s:.1f} s, first billed second after {billed_s:.1f} s")
    assert billed
    assert b"window.__boot" in page
    assert b"has not been built" not in page
    assert billed_s < FIRST_BILLED_MAX_S


class Installed(Server):
    """A server of the installed wheel, away from the checkout."""

    def __init__(self, directory: Path, programs: Path) -> None:
        super().__init__(directory)
        self.programs = programs
        self.environment = {"PATH": str(programs), "HOME": str(directory)}

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "vilokanam", "serve", "--config", self.config],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self.environment,
                start_new_session=True,
            )
        self.wait_ready()

    def output(self, *words: str) -> str:
        return subprocess.run(
            [self.programs / "python", *words],
            capture_output=True,
            text=True,
            check=True,
            cwd=self.directory,
            env=self.environment,
            timeout=30,
        ).stdout

    def publish(self, slug: str, key: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [self.programs / "vilokanam", "publish", "testsrc", f"{self.url}/{slug}/whip"],
            cwd=self.directory,
            env={**self.environment, "VILOKANAM_STREAM_KEY": key},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def ask(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        body: bytes = answer.read()
        return body


def watch_once(url: str) -> Any:
    """Fetch the newest whole segment, if there is one; return the receipts once there are some."""
    status, playlist = get(f"{url}index.m3u8")
    if status != 200:
        return None
    variants = [line for line in playlist.decode().splitlines() if line and line[0] != "#"]
    _, media = get(url + variants[0])
    segments = [line for line in media.decode().splitlines() if line.endswith(".m4s")]
    if not segments:
        return None
    get(url + variants[0].replace("media.m3u8", segments[-1]))
    status, body = get(f"{url}receipts")
    return json.loads(body)["receipts"] if status == 200 else None
