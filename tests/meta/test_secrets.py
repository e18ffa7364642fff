"""No secret is compared in a way whose time tells how much of it was right."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECRET = re.compile(r"(^|_)(sha256|digest|mac|secret|password|signature|token)$")
ALLOWED = {
    # Looked up by the hash of a long random secret: what is near in a hash is not near in it.
    "mediaserver/people/api_keys.py: api_keys.c.sha256 == tokens.sha256(key)",
    "mediaserver/people/browser_sessions.py: browser_sessions.c.sha256 == tokens.sha256(token)",
    "mediaserver/people/credentials.py: recovery_codes.c.sha256 == digest",
    "mediaserver/people/guests.py: guest_links.c.sha256 == tokens.sha256(secret)",
    "mediaserver/people/invitations.py: invitations.c.sha256 == tokens.sha256(code)",
    # Of what the operator has: a backup's files, the log's chain, a password typed twice.
    "mediaserver/cli/stream_guests.py: getpass.getpass('Once more: ') != password",
    "mediaserver/people/audit.py: _address_hash(row) != row.address_sha256",
    "mediaserver/people/audit.py: digest != row.hash",
    "mediaserver/processes/backup.py: _digest(path) == digest",
    # Public: an address, and whether a token is spelled as it was made, before its signature.
    (
        "mediaserver/people/wallets.py: "
        "hashlib.blake2b(key.to_compressed_bytes(), digest_size=32).digest() == bytes(account)"
    ),
    "mediaserver/playback_token.py: urlsafe_b64encode(raw).decode() != token",
    # Of a session that was taken over: it opens nothing any more.
    "mediaserver/ingest/whip.py: secret == self._replaced",
}
"""Comparisons that tell nothing by their time, and why."""


def name_of(node: ast.expr) -> str:
    """Return the last name of what is compared: ``token`` of ``self._token``, ``f.token()``."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def comparisons(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Compare):
            continue
        if not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue
        names = [name_of(side) for side in sides]
        if any(map(SECRET.search, names)):
            found.append(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    return found


def test_no_secret_is_compared_with_equality() -> None:
    """`hmac.compare_digest` takes as long whatever is wrong."""
    paths = [path for room in ("mediaserver", "cdn") for path in (ROOT / room).rglob("*.py")]
    found = [line for path in paths for line in comparisons(path)]

    assert set(found) - ALLOWED == set(), "use hmac.compare_digest, or say above why not"
    assert ALLOWED - set(found) == set(), "these are gone: remove them"
