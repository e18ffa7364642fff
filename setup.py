"""What the wheel needs beside pyproject.toml: a clean build, and the chain's artefacts."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
ARTEFACTS = ROOT / "chain" / "artefacts"
PAGE = ROOT / "mediaserver" / "api" / "static" / "index.html"


class BuildPy(build_py):
    """Builds into an empty folder: setuptools keeps there what an earlier version had."""

    def run(self) -> None:
        """Build, and add what is kept outside the packages."""
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        # metering/testing/committed_runtime.py looks for it there.
        shutil.copytree(ARTEFACTS, Path(self.build_lib) / "metering" / "testing" / "runtime")
        if not PAGE.is_file():
            self.announce(
                "the watch page is not built, and so not in the wheel: make page", level=4
            )


setup(cmdclass={"build_py": BuildPy})
