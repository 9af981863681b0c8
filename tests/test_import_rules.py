"""Who may import whom, and what the service's process must never load."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch", "transformers", "apache_beam", "prefect", "vllm", "sentence_transformers", "sklearn", "matplotlib",
)  # fmt: skip


ROOMS = ("beforehand", "rag", "batch", "flows", "online", "warehouse")
LONGEST_CHAIN = 12


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def _modules(room: str) -> list[str]:
    files = [path.relative_to(ROOT) for path in (ROOT / room).rglob("*.py")]
    return sorted(".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files)


def test_the_rooms_keep_their_import_rules():
    lint = Path(sys.executable).with_name("lint-imports")

    result = subprocess.run([lint, "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False)

    assert result.returncode == 0, result.stdout


def test_no_cycle_and_no_long_chain_of_imports():
    graph = grimp.build_graph(*ROOMS, cache_dir=None, exclude_type_checking_imports=True)
    order = TopologicalSorter({name: graph.find_modules_directly_imported_by(name) for name in graph.modules})

    chains: dict[str, tuple[str, ...]] = {}
    for module in order.static_order():  # raises CycleError at a cycle
        below = (chains[name] for name in graph.find_modules_directly_imported_by(module))
        chains[module] = (module, *max(below, key=len, default=()))

    longest = max(chains.values(), key=len)
    assert len(longest) <= LONGEST_CHAIN, " → ".join(longest)


@pytest.mark.parametrize("room", ["online", "rag", "warehouse"])
def test_a_light_room_loads_nothing_heavy(room):
    modules = _modules(room)
    code = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
print(*sorted(set({HEAVY!r}) & set(sys.modules)))
"""

    result = _python(code)

    assert len(modules) > 1
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""


def test_asking_for_help_loads_nothing_heavy():
    result = _python(f"import sys, beforehand.cli; print(*sorted(set({HEAVY!r}) & set(sys.modules)))")

    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == ""
