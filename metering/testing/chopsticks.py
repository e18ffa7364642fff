"""Runs the committed runtime in chopsticks: a local chain without a network, to develop against.

chopsticks comes from npm, pinned in chain/npm. It makes blocks of the real runtime, but it is no
node: what it makes is final at once, it knows no future nonces, and chain time goes on by one slot
per block however fast they come. What a node does beyond that, the fake node does.

Source: docs/developer/chains.md, "The chain in chopsticks".
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from metering.errors import ChainUnavailableError

_START_S: Final = 90.0
"""Two to five seconds idle; a machine that builds beside it needs its time."""
_CALL_S: Final = 60.0
_STOP_S: Final = 10.0
_POLL_S: Final = 0.05
_ENVIRONMENT: Final = ("PATH", "HOME", "TMPDIR", "LANG")
_PROGRAM: Final = Path("node_modules/@acala-network/chopsticks/chopsticks.cjs")


class Chopsticks:
    """One chopsticks process on the loopback.

    Args:
        tools: The folder chain/npm, with its packages installed.
        genesis: Raw chain spec with the runtime in it.
        port: To listen on; 0 takes a free one.
        mode: ``Manual`` makes blocks on `new_block` only, ``Instant`` at each extrinsic, ``Batch``
            a moment after.
        folder: Where its configuration and log are kept; a temporary one by default.
        before_exec: Run in the child before its program.

    Attributes:
        url: ``ws://…`` after `start`.
    """

    def __init__(
        self,
        tools: Path,
        genesis: Path,
        *,
        port: int = 0,
        mode: str = "Manual",
        folder: Path | None = None,
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        self._tools = tools
        self._genesis = genesis
        self._port = port
        self._mode = mode
        self._before_exec = before_exec
        self._temporary = folder is None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="vk-chopsticks-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def url(self) -> str:
        """Return where it is spoken to."""
        return f"ws://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Return the process id, 0 when it does not run."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    @property
    def log_file(self) -> Path:
        """Return what it printed."""
        return self._folder / "chopsticks.log"

    def start(self) -> None:
        """Start it and return when it answers.

        Raises:
            ChainUnavailableError: If it is not installed or does not come up, with its last lines.
        """
        program = self._tools / _PROGRAM
        node = shutil.which("node", path=self._path())
        if node is None or not program.is_file():
            raise ChainUnavailableError(
                f"chopsticks is not installed: run npm ci in {self._tools} with Node 20 or newer"
            )
        if not self._genesis.is_file():
            raise ChainUnavailableError(f"there is no chain spec {self._genesis}: run make chain")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._port = self._port or _free_port()
        config = self._folder / "chopsticks.json"
        config.write_text(json.dumps(self._configuration()))
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 -- both programs were found by us
                [node, str(program.resolve()), "--config", str(config.resolve())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                # It takes options from any variable of their name: PORT, HOST, DB …
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                # A Ctrl-C in the terminal is for who started it.
                start_new_session=True,
                preexec_fn=self._before_exec,  # noqa: PLW1509 -- two system calls, no lock
            )
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self.call("system_chain")
            except ChainUnavailableError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise ChainUnavailableError(
                        f"chopsticks does not come up: {self._last_lines()}"
                    ) from error
                time.sleep(_POLL_S)
            else:
                return

    def stop(self) -> None:
        """End it; a temporary folder goes with it."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._temporary:
            shutil.rmtree(self._folder, ignore_errors=True)

    def new_block(self, count: int = 1) -> str:
        """Make blocks out of what waits; return the hash of the last."""
        found: str = self.call("dev_newBlock", {"count": count})
        return found

    def call(self, method: str, *parameters: Any) -> Any:
        """Return the result of one JSON-RPC request.

        Raises:
            ChainUnavailableError: If it does not answer, or answers with an error.
        """
        return call(self._port, method, *parameters)

    def _configuration(self) -> dict[str, Any]:
        # No `db`: its native module is not built (npm's install scripts are not run), and after a
        # resume chopsticks answers another genesis hash than the one that is signed for.
        return {
            "genesis": str(self._genesis.resolve()),
            "host": "127.0.0.1",
            "port": self._port,
            "build-block-mode": self._mode,
            "mock-signature-host": False,
            "runtime-log-level": 1,
        }

    def _path(self) -> str:
        """Return PATH with the Node that npm may have brought along in front."""
        brought = sorted(self._tools.resolve().glob("node_modules/node-*/bin"))
        return os.pathsep.join([*map(str, brought), os.environ.get("PATH", "")])

    def _last_lines(self) -> str:
        try:
            lines = self.log_file.read_text(errors="replace").splitlines()
        except OSError:
            return "it left no log"
        return " / ".join(line for line in lines[-5:] if line) or "it left an empty log"


def call(port: int, method: str, *parameters: Any) -> Any:
    """Return the result of one JSON-RPC request over HTTP, of chopsticks or of the fake node.

    Raises:
        ChainUnavailableError: If nobody answers, or the answer is an error.
    """
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_CALL_S) as answer:  # noqa: S310
            found = json.load(answer)
    except (OSError, ValueError) as error:
        raise ChainUnavailableError(f"{method}: no answer on port {port}: {error}") from error
    if "error" in found:
        raise ChainUnavailableError(f"{method}: {found['error']}")
    return found.get("result")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port
