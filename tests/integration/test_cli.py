"""The command line against a running control: what an operator types, and what a script reads."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from mediaserver.cli.clock_text import clock_text
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
    code, out, _ = await vilokanam("streams", "create", "cam", "--planck", "500", "--json")
    stream = json.loads(out)
    assert (code, stream["prices"][0]["planck_per_s"]) == (0, "500")
    code, out, _ = await vilokanam("viewers", "create", "ann")
    assert (code, out.splitlines()[0]) == (0, "viewer: ann")
    code, out, _ = await vilokanam("viewers", "credit", "ann", "--key", "1", "0.000000005 UNIT")
    sums = "0.000000005 UNIT (5000 planck)"
    assert (code, out) == (0, f"ann: credited {sums}; {sums} paid in altogether\n")
    code, out, _ = await vilokanam("viewers", "credit", "ann", "--planck", "5000", "--key", "1")
    assert (code, out) == (0, f"ann: was credited before: {sums}; {sums} paid in altogether\n")
    code, out, _ = await vilokanam("token", "mint", "ann", "cam")
    assert code == 0
    assert out.startswith("watch: http://127.0.0.1:8080/w/")

    code, out, _ = await vilokanam("streams", "list")
    assert [line.split()[:5] for line in out.splitlines()] == [
        ["SLUG", "TITLE", "STATE", "PRICE", "ID"],
        ["cam", "cam", "offline", "0.0000000005", "UNIT/s"],
    ]
    assert "0.000000005 UNIT" in (await vilokanam("viewers", "list"))[1]
    code, out, _ = await vilokanam("viewers", "list", "--json")
    assert json.loads(out)["viewers"][0]["balance"] == "5000"
    code, out, _ = await vilokanam("ledger", "show")
    assert out.splitlines()[-1] == "sum: 0 UNIT"
    code, out, _ = await vilokanam("reconcile")
    assert (code, out.splitlines()[-1]) == (0, "the books balance")


async def test_keys_prices_and_access_of_a_stream_change(vilokanam) -> None:
    """What an operator does to a stream in its life."""
    made = json.loads((await vilokanam("streams", "create", "cam", "--json"))[1])
    code, out, _ = await vilokanam("streams", "rotate-key", "cam")
    assert code == 0
    assert made["stream_key"] not in out
    code, out, _ = await vilokanam("streams", "price", "cam", "0.5", "UNIT")
    assert (code, out.startswith("price 2: 0.5 UNIT per second (500000000000 planck")) == (0, True)
    assert (await vilokanam("streams", "close", "cam"))[1] == "cam: closed\n"
    assert "closed" in (await vilokanam("streams", "list"))[1]
    shown = (await vilokanam("streams", "show", "cam"))[1]
    assert "state: closed to viewers; offline, nobody publishes\n" in shown
    assert f"whip: {made['whip_url']}\n" in shown
    assert (await vilokanam("streams", "open", "cam"))[1] == "cam: open\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("viewers", "credit", "bob", "1 UNIT", "--key", "k"), "there is no viewer 'bob'"),
        (("viewers", "create", "x" * 300), "name"),
        (("streams", "create", "Cam"), "slug 'Cam'"),
        (("streams", "price", "none", "1.5 UNIT"), "no stream"),
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
    for command in (["streams", "list"], ["reconcile"]):
        assert main([*command, *where]) == 1
        refused = capsys.readouterr().err
        assert "admin.token cannot be read" in refused
        assert "`vilokanam serve` makes it when it first starts" in refused
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
    assert capsys.readouterr().out.rstrip().splitlines()[0].endswith("good")
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


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{}", "it has no `format`"),
        (b'{"format": "other"}', "its `format` is not vilokanam-receipts-1"),
        (b'{"format": "vilokanam-receipts-1"}', "it has no `operator`"),
        (b"[]", "its fields have another form"),
        (b"hello", "it is no JSON"),
        (b"\xff\xfe\x00\xd8", "it is no "),
    ],
)
def test_a_file_of_no_receipts_is_told_with_where_to_get_one(
    tmp_path, capsys, content, words
) -> None:
    """Its name, what shows it, and where such a file comes from; no name of a Python class."""
    file = tmp_path / "r.json"
    file.write_bytes(content)

    assert main(["receipt", "verify", str(file), "--operator-key", "0x" + "00" * 32]) == 1
    refused = capsys.readouterr().err

    assert f'{file} is not a file that the page\'s "Save the signed file" (or ' in refused
    assert words in refused
    assert "Error" not in refused


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


async def test_o6_an_amount_without_a_unit_moves_no_money(vilokanam) -> None:
    """Nobody credits a million times what was paid: both readings are told, and nothing is done."""
    await vilokanam("viewers", "create", "ann")

    for argv in (
        ("viewers", "credit", "ann", "1500000", "--key", "1"),
        ("streams", "create", "cam", "--price", "1500000"),
        ("streams", "price", "cam", "1500000"),
    ):
        code, out, err = await vilokanam(*argv)
        assert (code, out) == (2, "")
        assert '"1500000 UNIT" is 1500000000000000000 planck' in err
        assert "--planck 1500000 is 0.0000015 UNIT" in err

    assert json.loads((await vilokanam("viewers", "list", "--json"))[1])["viewers"][0][
        "deposited"
    ] == ("0")
    assert json.loads((await vilokanam("streams", "list", "--json"))[1])["streams"] == []
    code, _, err = await vilokanam("viewers", "credit", "ann", "1 UNIT", "--planck", "1", "--key=1")
    assert (code, "give one amount" in err) == (2, True)


async def test_o28_reconcile_says_what_its_numbers_are(vilokanam) -> None:
    """Seconds are seconds, money is in the asset, and what is settled is a sentence."""
    lines = (await vilokanam("reconcile"))[1].splitlines()

    assert "metered: 0 s" in lines
    assert "all metered seconds cost 0 UNIT (0 planck)" in lines
    assert "settled are 0 of 0 seconds, 0 UNIT (0 planck)" in lines


async def test_o5_the_price_in_force_is_told_apart_from_the_one_to_come(vilokanam) -> None:
    """For the minute of notice the old price is shown, and when the new one begins by the clock."""
    await vilokanam("streams", "create", "cam", "--price", "0.00025 UNIT")
    made = json.loads((await vilokanam("streams", "price", "cam", "0.0025 UNIT", "--json"))[1])

    lines = (await vilokanam("streams", "show", "cam"))[1].splitlines()
    row = (await vilokanam("streams", "list"))[1].splitlines()[1]
    stream = json.loads((await vilokanam("streams", "show", "cam", "--json"))[1])

    now = "price: 0.00025 UNIT per second (250000000 planck), 0.9 UNIT per hour"
    assert now in lines
    begin = clock_text(made["from_tick"])
    coming = [line for line in lines if line.startswith("price to come: 0.0025 UNIT per second")]
    assert f"from {begin} on, in " in coming[0]
    assert f"0.00025 UNIT/s; 0.0025 UNIT/s from {begin}" in row
    assert stream["price"]["planck_per_s"] == "250000000"
    assert stream["prices_to_come"] == [
        {key: made[key] for key in ("number", "from_tick", "planck_per_s")}
    ]


async def test_c10_who_makes_a_priced_stream_learns_where_it_is_watched(vilokanam) -> None:
    """The address alone lets nobody in: what a viewer needs is told beside it."""
    priced = (await vilokanam("streams", "create", "cam"))[1]
    free = (await vilokanam("streams", "create", "free", "--price", "0"))[1]

    assert "watch: http://127.0.0.1:8080/cam/\n" in priced
    assert "vilokanam token mint VIEWER cam" in priced
    assert "watch: http://127.0.0.1:8080/free/\n" in free
    assert "token mint" not in free


async def test_o24_a_viewer_twice_is_told_by_the_name_that_was_typed(vilokanam) -> None:
    """No account that was made up for the call is named: nobody would find it."""
    made = json.loads((await vilokanam("viewers", "create", "ann", "--json"))[1])

    code, _, err = await vilokanam("viewers", "create", "ann")
    _, _, other = await vilokanam("viewers", "create", "bob", "--account", made["account"])

    assert (code, "viewer 'ann' is there already" in err, "0x" in err) == (1, True, False)
    assert f"account {made['account']} is already that of viewer 'ann'" in other


async def test_o25_a_token_says_when_it_ends_and_opens_what_is_open(vilokanam) -> None:
    """Who hands out a link knows for how long, and hands out none to a closed stream."""
    await vilokanam("streams", "create", "cam")
    await vilokanam("viewers", "create", "ann")

    last = (await vilokanam("token", "mint", "ann", "cam", "--ttl-s", "7200"))[1].splitlines()[-1]
    await vilokanam("streams", "close", "cam")
    code, out, err = await vilokanam("token", "mint", "ann", "cam")

    assert last.startswith("expires: ")
    assert last.endswith((", in 2 h", ", in 1 h 59 min"))
    assert (code, out) == (1, "")
    assert "cam is closed to viewers" in err
    assert "vilokanam streams open cam" in err


async def test_f16_a_price_says_until_when_it_can_be_taken_back(vilokanam) -> None:
    """A slip is seen when it is printed; so the remedy is printed beside it."""
    await vilokanam("streams", "create", "cam")

    # From one second on, as two that are set within one second are.
    begin = ("--from-tick", str(int(time.time()) + 3600))
    code, out, _ = await vilokanam("streams", "price", "cam", "5 UNIT", *begin)
    again, _, refused = await vilokanam("streams", "price", "cam", "0.5 UNIT", *begin)
    undo = await vilokanam("streams", "withdraw-price", "cam", "2")

    assert code == 0
    assert "if it is wrong: `vilokanam streams withdraw-price cam 2`, until " in out
    assert (
        again,
        "take that one back first: vilokanam streams withdraw-price cam 2" in refused,
    ) == (
        1,
        True,
    )
    assert undo[0] == 0, undo[2]


async def test_o25_a_life_out_of_bounds_is_told_by_its_option(vilokanam) -> None:
    """With the bounds and their unit."""
    code, out, err = await vilokanam("token", "mint", "bob", "cam", "--ttl-s", "2")

    assert (code, out) == (2, "")
    assert "--ttl-s 2: a link lives 60 to 604800 seconds (1 min to 7 d)" in err


async def test_errors_are_json_for_scripts(vilokanam, capsys) -> None:
    """With --json every failure is one object on standard error, with the server's own members."""
    code, out, err = await vilokanam("token", "mint", "bob", "cam", "--ttl-s", "1", "--json")
    refused = json.loads(err)
    assert (code, out) == (2, "")
    assert (refused["status"], refused["exit_code"]) == (422, 2)
    assert refused["faults"] == ["ttl_s: 1 is not in 60 to 604800"]

    code, _, err = await vilokanam("viewers", "credit", "ann", "5", "--key", "k", "--json")
    unit = json.loads(err)
    assert (code, unit["exit_code"], "--planck 5 is" in unit["detail"]) == (2, 2, True)

    code, _, err = await vilokanam("viewers", "credit", "--json")
    usage = json.loads(err)
    assert (code, "required: viewer" in usage["detail"]) == (2, True)


def test_errors_are_json_without_a_server_too(tmp_path, capsys) -> None:
    """A script reads one thing, whatever failed: the file, the server, the words."""
    file = tmp_path / "m.toml"
    file.write_text("[hls]\npart_target_ms = 1\n[log]\nlevel = 'loud'\n")

    assert main(["streams", "list", "--json", "--config", str(file)]) == 2
    shown = json.loads(capsys.readouterr().err)
    assert len(shown["faults"]) == 2
    assert main(["streams", "list", "--json", "--data-dir", str(tmp_path)]) == 1
    assert "admin.token cannot be read" in json.loads(capsys.readouterr().err)["detail"]


async def test_a_creator_caps_a_show_and_names_a_viewers_price(vilokanam) -> None:
    for typed in ("streams create cam", "viewers create ann"):
        assert (await vilokanam(*typed.split()))[0] == 0
    found = [await vilokanam("streams", "cap", "cam", amount) for amount in ("0.5 UNIT", "none")]
    assert "on costs: never more than 0.5 UNIT" in found[0][1]
    prices = [await vilokanam("streams", "price-for", "cam", *who) for who in (["ann", "free"], [])]
    assert [text.split()[-1] for _, text, _ in prices] == ["nothing", "nothing"]
