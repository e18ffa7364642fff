"""The typed clients that `vilokanam api client` writes: they run, a wrong field is told."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.support.servers.vilokanam import ROOT, Server, get, running, vilokanam

EXAMPLES = ROOT / "examples"
TSC = ROOT / "web" / "node_modules" / ".bin" / "tsc"
FILES = {"python": "vilokanam_client.py", "typescript": "vilokanam.ts"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("clients"))
    with running(made):
        for slug in ("cam", "pub", "zoo"):
            made.run("streams", "create", slug, "--title", slug.title())
        yield made


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Each example with the client that it names, as its README says."""
    made = {}
    for language, name in FILES.items():
        made[language] = folder = tmp_path_factory.mktemp(language) / "example"
        shutil.copytree(EXAMPLES / f"api-{language}", folder)
        done = vilokanam("api", "client", language, str(folder / name))
        assert (done.returncode, done.stderr) == (0, "")
    return made


def key(server: Server, language: str) -> str:
    """Make the key that the example's README makes."""
    text = (EXAMPLES / f"api-{language}" / "README.md").read_text()
    (words,) = re.findall(r"^vilokanam (keys make .+)$", text, re.MULTILINE)
    made: str = server.json(*words.split())["key"]
    return made


def compiled(folder) -> subprocess.CompletedProcess[str]:
    if not TSC.exists():
        pytest.skip("no tsc: make setup")
    if not (folder / "node_modules").exists():
        (folder / "node_modules").symlink_to(ROOT / "web" / "node_modules")
    return subprocess.run([TSC, "-p", folder], capture_output=True, text=True, check=False)


def checked(folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", folder / "cache", folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def test_the_example_with_its_names_swapped_makes_and_pays_nothing(server, folders) -> None:
    """Who gives the viewer for the stream is told so, and nobody has money for it."""
    folder = folders["python"]
    program = [sys.executable, "-I", "-c", RUN, folder / "welcome.py"]
    words = [server.url, key(server, "python"), "eve-python", "cam"]
    done = subprocess.run(
        [*program, *words], capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert "404" in done.stderr
    assert all(viewer["name"] != "cam" for viewer in server.api("GET", "viewers")["viewers"])


@pytest.mark.parametrize("language", FILES)
def test_the_example_of_a_client_works_and_pays_in_once(server, folders, language) -> None:
    """A newcomer's first program: a viewer, a deposit, a link, all streams; then once more."""
    folder = folders[language]
    if language == "typescript":
        done = compiled(folder)
        assert (done.returncode, done.stdout) == (0, "")
        program = ["node", folder / "dist" / "welcome.js"]
    else:
        program = [sys.executable, "-I", "-c", RUN, folder / "welcome.py"]
    words = [server.url, key(server, language), "cam", f"ann-{language}"]
    runs = [
        subprocess.run([*program, *words], capture_output=True, text=True, check=False, timeout=60)
        for _ in range(2)
    ]

    for done in runs:
        assert (done.returncode, done.stderr) == (0, "")
        link, *rows = done.stdout.splitlines()
        assert get(link)[0] == 200
        assert rows == ["cam Cam", "pub Pub", "zoo Zoo"]
    viewer = server.api("GET", f"viewers/ann-{language}")
    assert viewer["deposited"] == "60000000"


RUN = (
    "import runpy, sys, pathlib; sys.argv = sys.argv[1:];"
    "sys.path.insert(0, str(pathlib.Path(sys.argv[0]).parent));"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.mark.parametrize("language", FILES)
def test_a_refusal_is_an_error_with_its_reason(server, folders, language) -> None:
    """Without a key: no stack of a parser, but the server's own sentence."""
    folder = folders[language]
    words = [server.url, "vk_wrong", "cam", "bob"]
    if language == "typescript":
        assert compiled(folder).returncode == 0
        program = ["node", folder / "dist" / "welcome.js"]
    else:
        program = [sys.executable, "-I", "-c", RUN, folder / "welcome.py"]
    done = subprocess.run([*program, *words], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "ProblemError: 401" in done.stderr
    assert "this is no key of a program" in done.stderr


def test_a_wrong_field_is_an_error_of_mypy(folders) -> None:
    """Before the program runs; what is right has none."""
    folder = folders["python"]
    right = checked(folder)
    source = (folder / "welcome.py").read_text()
    (folder / "wrong.py").write_text(
        source.replace('{"name": name}', '{"nmae": name}').replace('["watch_url"]', '["watch"]')
    )
    wrong = checked(folder)
    (folder / "wrong.py").unlink()

    assert right.returncode == 0, right.stdout
    assert wrong.returncode == 1
    assert 'Extra key "nmae"' in wrong.stdout
    assert 'has no key "watch"' in wrong.stdout


def test_a_wrong_field_is_an_error_of_tsc(folders) -> None:
    """The same in TypeScript."""
    folder = folders["typescript"]
    right = compiled(folder)
    source = (folder / "welcome.ts").read_text()
    (folder / "welcome.ts").write_text(
        source.replace("{ name }", "{ nmae: name }").replace(".watch_url", ".watch")
    )
    wrong = compiled(folder)
    (folder / "welcome.ts").write_text(source)

    assert right.returncode == 0, right.stdout
    assert wrong.returncode != 0
    assert "'nmae' does not exist in type 'NewViewerBody'" in wrong.stdout
    assert "Property 'watch' does not exist on type 'Joined'" in wrong.stdout
