"""``vilokanam api``: the description of the HTTP API, without a server."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from mediaserver.cli.errors import CliError


def add(groups: Any) -> None:
    """Add the commands."""
    verbs = groups.add_parser("api", help="what the HTTP API is, for programs").add_subparsers(
        metavar="VERB", required=True
    )
    schema = verbs.add_parser("schema", help="print it as OpenAPI 3.1; a server has it too")
    schema.set_defaults(run=_schema)
    docs = verbs.add_parser("docs", help="write the parts of docs/api.md that are made of it")
    docs.add_argument("page", type=Path, help="the page, with `<!-- made: … -->` in it")
    docs.set_defaults(run=_docs)
    client = verbs.add_parser("client", help="write a typed client of it, one file")
    client.add_argument("language", choices=["python", "typescript"])
    client.add_argument("file", type=Path, help="such as vilokanam_client.py or vilokanam.ts")
    client.set_defaults(run=_client)


def _schema(_: argparse.Namespace) -> int:
    from mediaserver.api.operations import openapi  # noqa: PLC0415 -- all of the API

    print(json.dumps(openapi.document(), indent=1))
    return 0


def _docs(arguments: argparse.Namespace) -> int:
    from mediaserver.api.operations import reference  # noqa: PLC0415 -- all of the API

    page: Path = arguments.page
    try:
        page.write_text(reference.page(page.read_text()))
    except (OSError, ValueError) as error:
        raise CliError(f"{page} cannot be written: {error}") from error
    return 0


def _client(arguments: argparse.Namespace) -> int:
    from mediaserver.api.clients import python, typescript  # noqa: PLC0415 -- all of the API
    from mediaserver.api.operations import openapi  # noqa: PLC0415

    language = python if arguments.language == "python" else typescript
    file: Path = arguments.file
    try:
        file.write_text(language.text(openapi.document()))
    except OSError as error:
        raise CliError(f"{file} cannot be written: {error}") from error
    return 0
