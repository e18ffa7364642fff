"""What the parent of all processes loads: it lives as long as they do, and serves nothing."""

import subprocess
import sys


def test_the_parent_holds_no_http_library_and_no_database() -> None:
    """Aiohttp was 13 MB of an idle server's 150."""
    program = (
        "import sys\nimport mediaserver.processes.server\n"
        "print(sorted({'aiohttp', 'sqlalchemy', 'aiortc', 'av', 'webauthn'} & sys.modules.keys()))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"
