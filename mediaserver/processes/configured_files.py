"""Files that the settings name: what of them is not as a start would need it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mediaserver.payments.service import providers_of
from mediaserver.settings.records import Settings
from mediaserver.webhooks.decisions import hook_secrets
from mediaserver.webhooks.service import targets_of
from metering.errors import InvalidValueError


def unusable_files(settings: Settings) -> Iterator[str]:
    """Yield a fault for each file that is not there, cannot be read, or holds no such secret.

    Keys of the server's own are not among them: a start makes those that are missing.
    """
    is_readable = True
    for key, file in _named(settings):
        try:
            Path(file).read_bytes()
        except OSError as error:
            is_readable = False
            yield (
                f"{key}: {file} cannot be read: {error.strerror}; put the file there, readable by "
                "the server's user, or take the key out"
            )
    if is_readable:
        for make in (
            lambda: providers_of(settings.payments, 0),
            lambda: targets_of(settings.webhooks),
            lambda: hook_secrets(settings.hooks),
        ):
            try:
                make()
            except InvalidValueError as error:
                yield str(error)


def _named(settings: Settings) -> Iterator[tuple[str, str]]:
    payments, people = settings.payments, settings.people
    named = [
        ("payments.webhook_secret_file", payments.webhook_secret_file),
        ("payments.stripe_secret_key_file", payments.stripe_secret_key_file),
        ("payments.stripe_webhook_secret_file", payments.stripe_webhook_secret_file),
        ("people.mail_password_file", people.mail_password_file),
        ("hooks.secret_file", settings.hooks.secret_file),
    ]
    for number, issuer in enumerate(people.oidc):
        named.append((f"people.oidc[{number}].client_secret_file", issuer.client_secret_file))
    for number, vouching in enumerate(settings.watch.issuers):
        named.append((f"watch.issuers[{number}].jwks_file", vouching.jwks_file))
    for number, target in enumerate(settings.webhooks.targets):
        named.append((f"webhooks.targets[{number}].secret_file", target.secret_file))
    yield from ((key, file) for key, file in named if file)
