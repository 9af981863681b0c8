"""Puts the example into the wheel, from which `beforehand init --example` copies it. All else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_EXAMPLE = Path("examples/python")


class BuildWithExample(build_py):
    """Copies what belongs to the example, and not what was built from it."""

    def run(self) -> None:
        """Build the packages, then add the example."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "beforehand" / "example"
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(path for path in _EXAMPLE.iterdir() if path.is_file()):
            shutil.copyfile(file, target / file.name)


setup(cmdclass={"build_py": BuildWithExample})
