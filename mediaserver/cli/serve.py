"""``vilokanam serve``: run the server in this terminal until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import os
from typing import Any

from mediaserver.processes import bootstrap, server
from mediaserver.settings.load import find


def add(groups: Any) -> None:
    """Add the command."""
    parser: argparse.ArgumentParser = groups.add_parser(
        "serve",
        parents=[bootstrap.parser("")],
        add_help=True,
        conflict_handler="resolve",
        help="run the server",
        description="Run the server until it is stopped.",
    )
    parser.add_argument("--port", type=int, help="instead of server.port")
    parser.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    if arguments.port is not None:
        # By the environment, so that every child process reads the same.
        os.environ["VILOKANAM_SERVER__PORT"] = str(arguments.port)
    # Every child is given the same file.
    arguments.config = find(arguments.config, os.environ)
    return server.serve(bootstrap.begin(arguments))
