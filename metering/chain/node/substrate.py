"""The only user of `substrateinterface`: a connection that never waits without end.

What of the library is used: its transport over a socket that we made, and its decoder of metadata.
What is not: its watcher (it waits indefinitely on ``invalid``, ``usurped``, ``retracted``), its
reconnect (it sends ``author_submitExtrinsic`` again by itself), its block and nonce helpers.

The library writes every payload through the root logger, and so installs a handler there: that is
undone where it is imported, below.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import types
from typing import Any, Final, cast
from urllib.parse import urlsplit

import substrateinterface.base
from scalecodec.base import RuntimeConfigurationObject, ScaleBytes
from scalecodec.type_registry import load_type_registry_preset
from substrateinterface import SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException
from substrateinterface.transport.websocket import create_connection

from metering.chain.node.metadata import Metadata
from metering.errors import ChainUnavailableError, RuntimeUnsupportedError

METADATA_VERSION: Final = 14


def _say_nothing(*_: object, **__: object) -> None:
    """Stand in for ``logging.debug``, which would install a handler at the root."""


# `logging.debug(payload)` there is the only use of the module's `logging` after the import.
substrateinterface.base.logging = types.SimpleNamespace(debug=_say_nothing)


INVALID_TRANSACTION: Final = 1010
"""What a pool answers to a transaction that it found invalid; a bad proof is one kind."""


class RpcError(Exception):
    """The node answered with an error: it got the request.

    Attributes:
        code: JSON-RPC code.
        text: What it says, for people only: nothing is decided by it.
    """

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Connection:
    """One websocket to one node. Not thread-safe, but for `abort`; after any failure it is dead.

    Args:
        url: ``ws://`` or ``wss://``.
        timeout_s: Longest silence within a request; who calls bounds the whole of it (node.py) and
            calls `abort`.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._interface: SubstrateInterface | None = None
        self._lock = threading.Lock()
        self._is_aborted = False

    def connect(self) -> None:
        """Connect.

        Raises:
            ChainUnavailableError: The node cannot be reached.
        """
        parts = urlsplit(self._url)
        is_tls = parts.scheme == "wss"
        address = (parts.hostname or "", parts.port or (443 if is_tls else 80))
        try:
            raw = socket.create_connection(address, self._timeout_s)
            self._keep(raw)
            if is_tls:
                context = ssl.create_default_context()
                raw = context.wrap_socket(raw, server_hostname=address[0])
                self._keep(raw)
            opened = create_connection(
                self._url, timeout=self._timeout_s, socket=raw, enable_multithread=False
            )
            self._interface = SubstrateInterface(
                websocket=opened, auto_reconnect=False, auto_discover=False, ss58_format=42
            )
        except Exception as error:
            self.close()
            raise ChainUnavailableError(
                f"the node {self._url} cannot be reached: {error}"
            ) from error

    def request(self, method: str, params: list[Any]) -> Any:
        """Return the result of one request.

        Raises:
            RpcError: The node answered with an error; the connection goes on.
            ChainUnavailableError: No answer: it may or may not have arrived, and the connection is
                dead.
        """
        if self._interface is None or self._is_aborted:
            raise ChainUnavailableError(f"the node {self._url} is not connected")
        began_s = time.monotonic()
        try:
            reply = self._interface.rpc_request(method, params)
        except SubstrateRequestException as error:
            raise _rpc_error(error) from error
        except Exception as error:
            # Whatever else the library and its socket raise: a reply may still be on its way, so
            # nothing more can be asked over this connection.
            self.close()
            took_s = time.monotonic() - began_s
            raise ChainUnavailableError(
                f"the node {self._url} did not answer {method} ({took_s:.1f} s): "
                f"{error or type(error).__name__}"
            ) from error
        if not isinstance(reply, dict) or "result" not in reply:
            self.close()
            raise ChainUnavailableError(f"the node {self._url} answered {method} with no result")
        return reply["result"]

    def abort(self) -> None:
        """End the connection from another thread; a caller that waits gets an error at once."""
        with self._lock:
            self._is_aborted = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection."""
        self._interface = None
        self.abort()
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _keep(self, raw: socket.socket) -> None:
        with self._lock:
            self._socket = raw
            if self._is_aborted:
                raise TimeoutError("it was given up")


def read_metadata(raw: bytes) -> Metadata:
    """Return metadata decoded by the library.

    Args:
        raw: What ``state_getMetadata`` answers: magic, version, V14.

    Raises:
        RuntimeUnsupportedError: If it is of another version, or cannot be read.
    """
    config = RuntimeConfigurationObject(implements_scale_info=True)
    config.update_type_registry(load_type_registry_preset(name="core"))
    version = raw[4] if len(raw) > 4 else None
    if version != METADATA_VERSION:
        raise RuntimeUnsupportedError(
            f"the node gives metadata of version {version}, not {METADATA_VERSION}: this program "
            "cannot read it; nothing is lost"
        )
    try:
        decoded = config.create_scale_object("MetadataVersioned", data=ScaleBytes(raw))
        decoded.decode()
        value = cast("dict[str, Any]", decoded.value[1]["V14"])
        return Metadata(value)
    except Exception as error:
        raise RuntimeUnsupportedError(
            f"the node's metadata cannot be read: {error}; nothing is lost"
        ) from error


def _rpc_error(error: SubstrateRequestException) -> RpcError:
    details = error.args[0] if error.args else {}
    if not isinstance(details, dict):
        return RpcError(0, str(details))
    data = details.get("data")
    text = str(details.get("message", ""))
    return RpcError(int(details.get("code", 0)), f"{text}: {data}" if data else text)
