"""The command line against a running control: what an operator types, and what a script reads."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from mediaserver.cli.main import main
from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import begin, parser
from metering.store.embedded import EmbeddedRedis

ROOT = Path(__file__).resolve().parents[2]


class Running:
    """Redis and control as processes, for commands that block."""

    def __init__(self, data_dir):
        self.data_dir = data_dir

    async def __aenter__(self):
        start = begin(parser("").parse_args(["--data-dir", str(self.data_dir)]))
        start.run_dir.mkdir(parents=True)
        secret_files.make_missing(start.settings, self.data_dir)
        self.redis = EmbeddedRedis(
            self.data_dir / "redis", start.run_dir / "redis.sock", "everysec"
        )
        await self.redis.start()
        self.control = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mediaserver.processes.control",
            "--data-dir",
            str(self.data_dir),
            cwd=ROOT,
            env={**os.environ, "VILOKANAM_LOG__LEVEL": "error"},
        )
        socket = aiohttp.UnixConnector(str(start.run_dir / "control.sock"))
        async with aiohttp.ClientSession(connector=socket) as http, asyncio.timeout(15):
            while True:
                if await is_ready(http):
                    break
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_):
        self.control.terminate()
        assert await asyncio.wait_for(self.control.wait(), 10) == 0
        await self.redis.stop()


async def is_ready(http):
    with contextlib.suppress(aiohttp.ClientError):
        async with http.get("http://control/readyz") as answer:
            return answer.status == 200
    return False


@pytest.fixture
async def vilokanam(tmp_path, capsys):
    """Return a function that runs one command; it gives exit code, output and error text."""
    async with Running(tmp_path):

        async def run(*argv, where=("--data-dir", str(tmp_path))):
            capsys.readouterr()
            code = await asyncio.to_thread(main, [*argv, *where])
            output = capsys.readouterr()
            return code, output.out, output.err

        yield run


async def test_an_operator_goes_from_nothing_to_a_watch_address(vilokanam) -> None:
    """Stream, viewer, credit, token: each in one command."""
    code, out, _ = await vilokanam("streams", "create", "cam", "--price", "500", "--json")
    stream = json.loads(out)
    assert (code, stream["prices"][0]["planck_per_s"]) == (0, "500")
    code, out, _ = await vilokanam("viewers", "create", "ann")
    assert (code, out.splitlines()[0]) == (0, "viewer: ann")
    code, out, _ = await vilokanam("viewers", "credit", "ann", "5000", "--key", "1")
    assert (code, out) == (0, "ann: credited; 5000 planck paid in altogether\n")
    code, out, _ = await vilokanam("viewers", "credit", "ann", "5000", "--key", "1")
    assert (code, out) == (0, "ann: was credited before; 5000 planck paid in altogether\n")
    code, out, _ = await vilokanam("token", "mint", "ann", "cam")
    assert code == 0
    assert out.startswith("watch: http://127.0.0.1:8080/w/")

    code, out, _ = await vilokanam("streams", "list")
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["SLUG", "TITLE", "STATE", "PLANCK/S"],
        ["cam", "cam", "offline", "500"],
    ]
    code, out, _ = await vilokanam("viewers", "list", "--json")
    assert json.loads(out)["viewers"][0]["balance"] == "5000"
    code, out, _ = await vilokanam("ledger", "show")
    assert out.splitlines()[-1] == "sum: 0"
    code, out, _ = await vilokanam("reconcile")
    assert (code, out.splitlines()[-1]) == (0, "the books balance")


async def test_keys_prices_and_access_of_a_stream_change(vilokanam) -> None:
    """What an operator does to a stream in its life."""
    made = json.loads((await vilokanam("streams", "create", "cam", "--json"))[1])
    code, out, _ = await vilokanam("streams", "rotate-key", "cam")
    assert code == 0
    assert made["stream_key"] not in out
    code, out, _ = await vilokanam("streams", "price", "cam", "700")
    assert (code, out.startswith("price 2: 700 planck per second from second ")) == (0, True)
    assert (await vilokanam("streams", "close", "cam"))[1] == "cam: closed\n"
    assert "closed" in (await vilokanam("streams", "list"))[1]
    shown = (await vilokanam("streams", "show", "cam"))[1]
    assert "state: closed\n" in shown
    assert f"whip: {made['whip_url']}\n" in shown
    assert (await vilokanam("streams", "open", "cam"))[1] == "cam: open\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("viewers", "credit", "bob", "1", "--key", "k"), "there is no viewer 'bob'"),
        (("viewers", "create", "x" * 300), "name"),
        (("streams", "create", "Cam"), "slug 'Cam'"),
        (("streams", "price", "none", "1.5"), "planck_per_s: is not planck"),
        (("receipt", "get", "bob", "none"), "there is no viewer 'bob'"),
    ],
)
async def test_an_error_is_one_line_and_exit_code_1(vilokanam, argv, words) -> None:
    """A script sees the code, a person the reason."""
    code, out, err = await vilokanam(*argv)

    assert (code, out) == (1, "")
    assert err.startswith("vilokanam: ")
    assert len(err.splitlines()) == 1
    assert words in err


def test_without_a_server_the_command_says_where_it_looked(tmp_path, capsys) -> None:
    """The first thing that goes wrong for everyone has a remedy."""
    where = ["--data-dir", str(tmp_path)]
    assert main(["streams", "list", *where]) == 1
    assert "admin.token cannot be read" in capsys.readouterr().err
    (tmp_path / "admin.token").write_text("x" * 20)
    assert main(["streams", "list", *where]) == 1
    assert "vilokanam serve" in capsys.readouterr().err
    assert main(["streams", "list", *where, "--server", "localhost"]) == 2
    assert "is not http(s)://host" in capsys.readouterr().err


def test_config_check_tells_all_faults_and_exits_2(tmp_path, capsys) -> None:
    """An operator mends the file before anything is started with it."""
    file = tmp_path / "m.toml"
    file.write_text("[hls]\npart_target_ms = 1\n[log]\nlevel = 'loud'\n")
    assert main(["config", "check", str(file)]) == 2
    err = capsys.readouterr().err
    assert "hls.part_target_ms: 1 is below 100" in err
    assert 'log.level: "loud" is not known' in err
    assert main(["config", "check", str(ROOT / "config" / "mediaserver.toml")]) == 0
    assert capsys.readouterr().out.endswith("good\n")
    assert main(["config", "schema"]) == 0
    assert capsys.readouterr().out == (ROOT / "config" / "schema.json").read_text()


def test_a_receipt_file_that_proves_nothing_is_refused(tmp_path, capsys) -> None:
    """`receipt verify` never says good to what is not."""
    file = tmp_path / "r.json"
    file.write_text("{}")
    key = "0x" + "00" * 32
    assert main(["receipt", "verify", str(file), "--operator-key", key]) == 1
    assert main(["receipt", "verify", str(file), "--operator-key", "0x12"]) == 1
    assert main(["receipt", "verify", str(tmp_path / "no"), "--operator-key", key]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_publish_wants_a_key_and_a_source(tmp_path, capsys, monkeypatch) -> None:
    """What is missing is named before anything is loaded."""
    monkeypatch.delenv("VILOKANAM_STREAM_KEY", raising=False)
    url = "http://127.0.0.1:1/cam/whip"
    assert main(["publish", "testsrc", url]) == 2
    assert main(["publish", str(tmp_path / "none.mp4"), url, "--key", "k"]) == 2
    err = capsys.readouterr().err
    assert "no stream key" in err
    assert "is not a file" in err


def test_serving_imports_no_other_command() -> None:
    """The server stays for months: it does not hold what `demo` or `publish` needs."""
    program = (
        "import sys\n"
        "from mediaserver.cli.main import main\n"
        "try:\n"
        "    main(['serve', '--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('mediaserver.cli.')))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    names = ["mediaserver.cli.errors", "mediaserver.cli.main", "mediaserver.cli.serve"]
    assert done.stdout.splitlines()[-1] == str(names)
