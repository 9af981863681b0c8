"""The OpenAPI document is exact: schemathesis, run against the real service, finds nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.online.conftest import LIBRARY, Library, Serve

# What the document can't say (a question of punctuation alone, a model name of another collection) is a 403 or 422;
# a language model that is down or a full queue is a 429 or 503, and no server error in the sense of these checks.
_SETTINGS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 401, 403, 404, 409, 413, 422, 429]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "413", "415", "422", "429"]
"""


def schemathesis(url: str, folder: Path, *options: str, most: int = 80) -> str:
    (folder / "schemathesis.toml").write_text(_SETTINGS)
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--config-file", str(folder / "schemathesis.toml"), "run", f"{url}/openapi.json"]
    examples = os.environ.get("SCHEMATHESIS_EXAMPLES", str(most))
    options = ("--checks", "all", "--max-examples", examples, "--suppress-health-check", "all", *options)
    done = subprocess.run([*command, *options, "--seed", "7"], capture_output=True, text=True, cwd=folder, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_the_document_and_the_service_agree(client: httpx.Client, tmp_path: Path) -> None:
    found = schemathesis(str(client.base_url), tmp_path)
    assert not found, found


def test_they_agree_with_keys_too(
    library: Library, serve: Serve, keys: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    library.publish(library=LIBRARY)
    client = serve(keys=keys)  # only who may ask is new, so half of the examples do
    found = schemathesis(str(client.base_url), tmp_path, "-H", "Authorization: Bearer boss", most=40)
    assert not found, found


@pytest.mark.parametrize("name", ["Ask", "Answer", "ProblemDetails", "ChatRequest", "OpenAIError", "Feedback"])
def test_the_document_names_what_goes_in_and_out(client: httpx.Client, name: str) -> None:
    assert name in client.get("/openapi.json").json()["components"]["schemas"]
