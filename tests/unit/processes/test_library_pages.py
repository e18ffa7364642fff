"""Which pages of libraries are given back after an import."""

import subprocess
import sys

from mediaserver.processes.library_pages import unwritten

SMAPS = """\
1000-3000 r-xp 00000000 fe:00 77                 /lib/codec.so
Rss:                   8 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
3000-4000 r--p 00002000 fe:00 77                 /lib/codec.so
Anonymous:             4 kB
4000-5000 rw-p 00003000 fe:00 77                 /lib/codec.so
Anonymous:             0 kB
5000-6000 r--s 00000000 fe:00 78                 /shared
Anonymous:             0 kB
6000-7000 ---p 00000000 00:00 0
Anonymous:             0 kB
ab000-ac000 r--p 00000000 fe:00 79               /with a blank
AnonHugePages:         0 kB
Anonymous:             0 kB
"""


def test_only_mappings_of_files_that_were_never_written_are_given_back() -> None:
    """Relocated, writable, shared and anonymous mappings stay: their pages are in no file."""
    assert list(unwritten(SMAPS.splitlines())) == [(0x1000, 0x3000), (0xAB000, 0xAC000)]


def test_giving_back_takes_no_memory() -> None:
    """What is read for it, a megabyte and a half, is not held, nor left as holes in the heap."""
    program = (
        "import re\n"
        "from pathlib import Path\n"
        "import av\n"
        "from mediaserver.processes import library_pages\n"
        "def written():\n"
        "    text = Path('/proc/self/smaps_rollup').read_text()\n"
        "    return int(re.search(r'^Private_Dirty: +(\\d+)', text, re.M)[1])\n"
        "before = written()\n"
        "library_pages.release()\n"
        "print(written() - before)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert int(done.stdout) < 256


def test_libraries_work_when_their_pages_were_given_back() -> None:
    """The resident pages become fewer, and what is called next finds its code again."""
    program = (
        "import re, ssl\n"
        "from pathlib import Path\n"
        "import av\n"
        "from mediaserver.processes import library_pages\n"
        "def resident():\n"
        "    text = Path('/proc/self/smaps_rollup').read_text()\n"
        "    return int(re.search(r'^Rss: +(\\d+)', text, re.M)[1])\n"
        "before = resident()\n"
        "library_pages.release()\n"
        "after = resident()\n"
        "ssl.create_default_context()\n"
        "av.CodecContext.create('aac', 'w')\n"
        "print(before - after)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert int(done.stdout) > 4096
