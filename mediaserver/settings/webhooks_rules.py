"""What is wrong with ``[webhooks]`` and ``[hooks]``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from mediaserver.settings.records import Settings
from mediaserver.webhooks.addresses import networks_of
from mediaserver.webhooks.records import EventKind, Question
from mediaserver.webhooks.settings import WebhookTarget

TARGETS_MAX: Final = 16
"""Each fact of the book is written once more for each."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
_QUESTIONS: Final = [question.value for question in Question]
_KINDS: Final = [kind.value for kind in EventKind if kind is not EventKind.TEST]


def webhooks_faults(settings: Settings) -> Iterator[str]:
    """Yield each fault, ``webhooks.key: value is what is wrong; remedy``."""
    webhooks = settings.webhooks
    for index, target in enumerate(webhooks.targets):
        yield from _target(f"webhooks.targets[{index}]", target)
    names = [target.name for target in webhooks.targets]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f'webhooks.targets: "{name}" is the name of two; give each a name of its own'
    if len(names) > TARGETS_MAX:
        yield f"webhooks.targets: {len(names)} are over {TARGETS_MAX}; name fewer"
    for network in webhooks.allowed_networks:
        try:
            networks_of([network])
        except ValueError as error:
            yield (
                f'webhooks.allowed_networks: "{network}" is not a network ({error}); use one such '
                'as "10.1.0.0/16"'
            )


def hooks_faults(settings: Settings) -> Iterator[str]:
    """Yield each fault, ``hooks.key: value is what is wrong; remedy``."""
    hooks = settings.hooks
    for index, question in enumerate(hooks.ask):
        if question not in _QUESTIONS:
            yield f'hooks.ask[{index}]: "{question}" is not known; use {", ".join(_QUESTIONS)}'
    if hooks.url or hooks.ask:
        yield from _url("hooks", hooks.url)
    if hooks.ask and not hooks.secret_file:
        yield (
            'hooks.secret_file: "" is empty: your server could not tell our questions from others; '
            "make a file with one line, whsec_ and 32 random bytes in base64"
        )


def _target(where: str, target: WebhookTarget) -> Iterator[str]:
    if not _NAME.fullmatch(target.name):
        yield f'{where}.name: "{target.name}" is no name; use 1 to 39 of a-z, 0-9 and -'
    yield from _url(where, target.url)
    if not target.secret_file:
        yield (
            f'{where}.secret_file: "" is empty: nobody could tell our events from others; make a '
            "file with one line, whsec_ and 32 random bytes in base64"
        )
    for kind in target.events:
        if kind not in _KINDS:
            yield f'{where}.events: "{kind}" is not known; use {", ".join(_KINDS)}'


def _url(where: str, url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        yield f'{where}.url: "{url}" is not a web address; use https://...'
    elif parts.username is not None or parts.password is not None:
        yield f"{where}.url: has a name or password before the host; our signature says who we are"
