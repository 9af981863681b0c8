"""The set-up ends with one sentence that says what to do, and takes PyPI's torch where PyTorch's index is away."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCK = "numpy==2.3.5\ntorch==2.13.0+cpu\ntriton==3.9.0\n"
# What uv says, word for word but for addresses.
NO_TORCH = "error: No solution found\n  cause: there is no version of torch==2.13.0+cpu and so on"
NO_NETWORK = (
    "error: Request failed after 3 retries in 3.9s\n  cause: Failed to fetch: https://index/\n  cause: dns error"
)
REFUSED = "error: Request failed after 3 retries in 3.2s\n  cause: Failed to fetch: x\n  cause: tunnel error: failed"
FULL = "error: Failed to install: torch\n  cause: No space left on device (os error 28)"
OTHER = "error: The wheel is broken\n  cause: bad header"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lock, and a `bin/` whose uv fails as its files say: `fails-NUMBER` is what the call of that number prints."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "lock.txt").write_text(LOCK)
    uv = f"""#!/bin/sh
echo "$@" >>{tmp_path}/calls
number=$(wc -l <{tmp_path}/calls)
if [ -f {tmp_path}/fails-$number ]; then cat {tmp_path}/fails-$number >&2; exit 1; fi
"""
    for name, text in (("uv", uv), ("python", "#!/bin/sh\nexit 1\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def install(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(ROOT / "locks" / "install.sh"), str(folder / "lock.txt"), str(folder / "bin")],
        env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_good_install_says_nothing(folder: Path) -> None:
    result = install(folder)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert len((folder / "calls").read_text().splitlines()) == 2, "the lock, and the project itself"


def test_without_pytorchs_index_torch_comes_from_pypi_and_the_rest_from_the_lock(folder: Path) -> None:
    (folder / "fails-1").write_text(NO_TORCH)

    result = install(folder)

    assert result.returncode == 0, result.stderr
    assert "taking PyPI's" in result.stdout
    assert len(result.stdout.splitlines()) == 1
    calls = (folder / "calls").read_text().splitlines()
    assert calls[2].endswith(" torch==2.13.0"), "with its dependencies, before the rest"
    assert "--no-deps" not in calls[2]
    assert "--no-deps --requirements" in calls[3]


@pytest.mark.parametrize(
    ("said", "proxy", "sentence"),
    [
        (NO_NETWORK, {}, "no package index can be reached"),
        (REFUSED, {"HTTPS_PROXY": "http://proxy:3128"}, "the proxy that HTTPS_PROXY names"),
        (FULL, {}, "the disk is full"),
        (OTHER, {}, "could not be installed: The wheel is broken"),
    ],
    ids=["no network", "a proxy that refuses", "a full disk", "anything else"],
)
def test_a_set_up_that_fails_says_one_sentence(folder: Path, said: str, proxy: dict[str, str], sentence: str) -> None:
    (folder / "fails-1").write_text(said)

    result = install(folder, **proxy)

    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("set-up: ")
    assert sentence in result.stderr


def test_no_index_at_all_is_not_taken_for_missing_torch(folder: Path) -> None:
    (folder / "fails-1").write_text(NO_TORCH)
    (folder / "fails-2").write_text(NO_NETWORK)

    result = install(folder)

    assert (result.returncode, result.stdout) == (2, "")
    assert "no package index can be reached" in result.stderr


@pytest.mark.parametrize("version", ["3.9", "3.10", "3.13", None], ids=str)
def test_a_python_that_does_not_fit_is_named(tmp_path: Path, version: str | None) -> None:
    python = tmp_path / "python"
    if version:
        python.write_text(f"#!/bin/sh\necho {version}\n")
        python.chmod(0o755)

    result = subprocess.run(
        ["sh", str(ROOT / "locks" / "venv.sh"), str(python), "1.0"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert f"{python} is {version}" in result.stderr if version else f"there is no {python}" in result.stderr
    assert "make PYTHON=python3.12" in result.stderr
    assert not (tmp_path / ".venv").exists()
