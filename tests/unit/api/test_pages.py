"""What the watch page may run."""

import base64
import hashlib
import re

import pytest

from mediaserver.api.pages import Pages

TEMPLATE = """<title>Vilokanam</title><style>p{color:red}</style>
<script type="module" src="/assets/x.js"></script>
<!--BOOT--><script>early()</script><p>text</p>"""


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "index.html").write_text(TEMPLATE)
    return Pages(tmp_path)


def sources(response, directive):
    """Return what a directive of the page's policy allows."""
    policy = response.headers["Content-Security-Policy"]
    directives = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))
    return directives[directive].split()


def hashed(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_l7_o27_only_what_we_wrote_runs_on_the_page(pages) -> None:
    """The page's address holds a token that pays: no other script may read it."""
    response = pages.page({"title": "</script><script>steal()</script>"})

    inline = re.findall(r"<script>(.*?)</script>", response.text)
    assert len(inline) == 2
    assert sources(response, "script-src") == ["'self'", *map(hashed, reversed(inline))]
    assert sources(response, "style-src") == ["'self'", hashed("p{color:red}")]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    for directive in ("default-src", "base-uri", "form-action", "frame-ancestors"):
        assert sources(response, directive) == ["'none'"]


def test_a_l7_the_pages_address_is_told_to_nobody(pages) -> None:
    """No site behind a link learns the token, and no browser guesses what an answer is."""
    response = pages.page({})

    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
