"""`vilokanam doctor`: what it finds on machines that are not well."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import os
import shutil
import socket
import ssl
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mediaserver.cli import doctor
from mediaserver.cli.main import main
from mediaserver.processes import machine_checks, network_checks, secret_files, server_clock
from mediaserver.processes.data_dir import DataDir
from mediaserver.processes.finding import State
from mediaserver.settings.records import Settings
from metering.store.embedded import EmbeddedRedis


def settings(**tables):
    """Return default settings with some keys of some tables changed."""
    tree = Settings()
    changed = {name: replace(getattr(tree, name), **keys) for name, keys in tables.items()}
    return replace(tree, **changed)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A data directory with secrets, as a first start leaves it."""
    monkeypatch.delenv("VILOKANAM_CONFIG", raising=False)
    data_dir = tmp_path / "data"
    with DataDir(data_dir):
        secret_files.make_missing(Settings(), data_dir)
    data_dir.chmod(0o700)
    return data_dir


def test_doctor_finds_all_faults_of_a_machine_in_one_run(
    machine, tmp_path, capsys, monkeypatch
) -> None:
    """One line each with its remedy, and exit code 1; a faulty file hides nothing else."""
    config = tmp_path / "m.toml"
    config.write_text('[server]\nprot = 1\n[ingest]\nbind_addresses = ["203.0.113.9"]\n')
    (machine / "token.keys").chmod(0o644)
    monkeypatch.setattr(doctor, "STATIC_DIR", tmp_path / "nowhere")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    words = ["doctor", "--config", str(config), "--data-dir", str(machine)]

    assert main(words) == 1
    lines = capsys.readouterr().out.splitlines()
    assert main([*words, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)

    faults = [line.removeprefix("fault").strip() for line in lines if line.startswith("fault")]
    assert [line.partition(":")[0] for line in faults] == [
        "configuration",
        "configuration",
        "secrets",
        "disk",
        "page",
    ]
    assert "did you mean server.port?" in faults[0]
    assert "ingest.bind_addresses[0]: 203.0.113.9" in faults[1]
    assert f"chmod 600 {machine}/token.keys" in faults[2]
    assert "make page" in faults[4]
    assert report["is_good"] is False
    assert len(report["findings"]) == len(lines)


def test_doctor_of_a_healthy_machine_ends_with_0(machine, capsys) -> None:
    """Warnings alone alarm nobody."""
    code = main(["doctor", "--data-dir", str(machine), "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]

    states = {finding["check"]: finding["state"] for finding in findings}
    assert states.pop("page") in ("good", "fault")  # as this checkout has it
    states.pop("clock")  # as the machine is kept
    assert set(states.values()) == {"good"}
    assert code == (1 if any(finding["state"] == "fault" for finding in findings) else 0)
    assert {"configuration", "secrets", "disk", "server", "Redis", "ingest"} <= set(states)


async def test_doctor_names_the_server_that_runs_and_what_it_waits_for(machine) -> None:
    """A directory in use is no fault; a server that is not ready is one."""
    with DataDir(machine):
        pid = machine_checks.server_pid(machine)
        found = await machine_checks.check_server(settings(server={"port": 1}), pid)

    assert machine_checks.server_pid(machine) is None
    assert found.state is State.FAULT
    assert f"process {pid} is not ready: the HTTP processes are starting" in found.text


async def redis_findings(tree, data_dir):
    return {
        finding.check: finding async for finding in network_checks.check_redis(tree, data_dir, None)
    }


@pytest.mark.redis
async def test_doctor_refuses_a_redis_that_would_lose_money(tmp_path) -> None:
    """The setting is named with the value to set; a good one is told with its clock."""
    redis = EmbeddedRedis(tmp_path / "redis", tmp_path / "redis.sock", "everysec")
    url = f"unix://{tmp_path}/redis.sock"
    async with redis:
        wrong = await redis_findings(
            settings(metering={"redis_url": url, "fsync": "always"}), tmp_path
        )
        right = await redis_findings(settings(metering={"redis_url": url}), tmp_path)
    away = await redis_findings(settings(metering={"redis_url": url}), tmp_path)

    assert wrong["Redis"].state is State.FAULT
    assert "appendfsync is everysec" in wrong["Redis"].text
    assert wrong["Redis"].remedy == "set it to always"
    assert {finding.state for finding in right.values()} == {State.GOOD}
    assert away["Redis"].state is State.FAULT
    assert "does not answer" in away["Redis"].text


async def test_doctor_finds_a_redis_whose_clock_is_not_ours() -> None:
    """Seconds are stamped by one clock and judged by the other."""
    info = "run_id:x\r\nredis_version:7.2.4\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n"

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                words = []
                for _ in range(count):
                    size = int((await reader.readuntil(b"\r\n"))[1:])
                    words.append((await reader.readexactly(size + 2))[:-2].upper())
                writer.write(reply(words))
        writer.close()

    def reply(words):
        match words[0]:
            case b"INFO":
                return f"${len(info)}\r\n{info}\r\n".encode()
            case b"CONFIG":
                return b"*0\r\n"
            case b"TIME":
                return b"*2\r\n$%d\r\n%d\r\n$1\r\n0\r\n" % (10, int(time.time()) - 60)
        return b"+OK\r\n"

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        tree = settings(metering={"redis_url": f"redis://bob:s3cret@127.0.0.1:{port}/0"})
        found = await redis_findings(tree, Path())

    assert found["Redis"].state is State.GOOD
    assert "s3cret" not in found["Redis"].text
    assert found["Redis' clock"].state is State.FAULT
    assert "behind ours" in found["Redis' clock"].text


async def test_a_h1_the_clock_of_a_running_server_is_compared(redis_server, tmp_path):
    """It follows its machine's clock slowly, so the two may differ for long."""
    (tmp_path / "run").mkdir()
    tree = settings(metering={"redis_url": redis_server.url})
    before = await redis_findings(tree, tmp_path)
    file = tmp_path / "run" / server_clock.FILE
    async with server_clock.keeping(tmp_path / "run"):
        raw = file.read_bytes()
    ahead = int.from_bytes(raw[-8:], "little", signed=True) + 5 * 10**9
    file.write_bytes(raw[:-8] + ahead.to_bytes(8, "little", signed=True))
    after = await redis_findings(tree, tmp_path)

    assert before["Redis' clock"].state is State.GOOD
    assert after["Redis' clock"].state is State.FAULT
    assert "5.0 s behind ours" in after["Redis' clock"].text


@pytest.mark.parametrize(
    ("ingest", "public_url", "state", "words"),
    [
        ({}, "", State.GOOD, "a packet to 127.0.0.1:4"),
        ({}, "https://live.example.org", State.FAULT, "this machine alone"),
        (
            {"advertise_addresses": ("127.0.0.2",)},
            "",
            State.WARNING,
            "no packet that was sent to 127.0.0.2 came back",
        ),
        (
            {"bind_addresses": ("0.0.0.0",), "advertise_addresses": ("10.0.0.1",)},
            "https://live.example.org",
            State.WARNING,
            "10.0.0.1, which the internet does not reach",
        ),
    ],
)
def test_doctor_sends_a_packet_to_what_publishers_are_told(
    ingest, public_url, state, words
) -> None:
    """An address that leads nowhere is found before a publisher does."""
    ports = {"udp_port_min": 47000, "udp_port_max": 47030}
    tree = settings(ingest={**ports, **ingest}, server={"public_url": public_url})

    (found,) = network_checks.check_udp(tree)

    assert (found.state, words in found.text) == (state, True), found


def certificate(folder, days):
    """Write a certificate of 127.0.0.1 that signs itself; return its file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days, hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "all.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.parametrize(
    ("days", "is_trusted", "verdict"),
    [
        (90, True, (State.GOOD, "is good for 90 days")),
        (5, True, (State.WARNING, "is good for 5 days")),
        (90, False, (State.FAULT, "self-signed certificate")),
    ],
)
async def test_doctor_judges_the_certificate_as_a_browser_does(
    tmp_path, monkeypatch, days, is_trusted, verdict
) -> None:
    """One that nobody believes, or that ends soon, is found before viewers find it."""
    path = certificate(tmp_path, days)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    server = await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"https://127.0.0.1:{port}"
        found = await network_checks.check_public_url(settings(server={"public_url": url}))

    state, words = verdict
    assert (found.state, words in found.text) == (state, True), found


async def test_doctor_says_that_nobody_answers_at_the_public_address() -> None:
    """A name that leads nowhere, and an address without TLS, are told apart."""
    nobody = settings(server={"public_url": "https://127.0.0.1:1"})
    plain = settings(server={"public_url": "http://live.example.org"})

    assert "does not answer from here" in (await network_checks.check_public_url(nobody)).text
    assert "is plain HTTP" in (await network_checks.check_public_url(plain)).text


def test_r5_a_port_that_systemd_holds_for_the_server_is_no_fault(
    machine, tmp_path, capsys, monkeypatch, unused_tcp_port_factory
) -> None:
    """The socket unit listens while the service is stopped: no other program has the port."""
    port = unused_tcp_port_factory()
    config = tmp_path / "m.toml"
    config.write_text(f"[server]\nport = {port}\n")
    words = ["doctor", "--config", str(config), "--data-dir", str(machine), "--json"]
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")

    def found(service):
        row = {"listen": f"127.0.0.1:{port}", "unit": "v.socket", "activates": service}
        program.write_text(f"#!/bin/sh\ntest $1 = list-sockets && echo '{json.dumps([row])}'\n")
        program.chmod(0o755)
        main(words)
        findings = json.loads(capsys.readouterr().out)["findings"]
        return next(each for each in findings if each["check"] == "server")

    with socket.create_server(("127.0.0.1", port)):
        ours, other = found("vilokanam.service"), found("cockpit.service")

    assert ours["state"] == "good"
    assert ours["text"] == f"none runs; v.socket holds port {port} for it"
    assert other["state"] == "fault"
    assert "is in use by another program" in other["text"]


async def test_doctor_knows_a_server_that_was_started_with_another_port(unused_tcp_port) -> None:
    """It said "the HTTP processes are starting" of a demo that had been ready for an hour."""
    program = (
        "import socket, sys\n"
        f"held = socket.create_server(('127.0.0.1', {unused_tcp_port}))\n"
        "print('listens', flush=True)\n"
        "sys.stdin.read()\n"
    )
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"listens\n"
        found = await machine_checks.check_server(settings(server={"port": 1}), process.pid)
    finally:
        process.kill()
        await process.wait()

    assert found.state is State.FAULT
    assert f"listens on port {unused_tcp_port}, and server.port is 1" in found.text
    assert "--config" in found.remedy
