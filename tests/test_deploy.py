"""The files of deploy/ fit the code: metrics that exist, commands that are there, manifests that pass their schema."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import promql_parser
import pytest
import yaml
from click.testing import CliRunner
from compose_spec import ComposeSpecification

from beforehand.cli import cli
from beforehand.configuration import read_settings
from online.http.problems import KINDS
from online.telemetry.metrics import Metrics

DEPLOY = Path(__file__).parents[1] / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SYNTHETIC = {"up"}  # Prometheus makes it
OF_PROMETHEUS = {"job", "instance", "le"}


def queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard and the alerts, with what it is for."""
    dashboard = json.loads((DEPLOY / "monitoring" / "grafana.json").read_text())
    for panel in dashboard["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    yield from ((each["name"], each["expr"]) for each in dashboard["annotations"]["list"])
    for group in yaml.safe_load((DEPLOY / "monitoring" / "alerts.yaml").read_text())["groups"]:
        yield from ((rule["alert"], rule["expr"]) for rule in group["rules"])


def labels_by_metric() -> dict[str, set[str]]:
    """What /metrics has, by the name of a sample."""
    found: dict[str, set[str]] = {}
    for family in Metrics()._registry._collector_to_names:
        for name in (family._name, f"{family._name}_total", f"{family._name}_bucket"):
            found[name] = set(family._labelnames)
    return found


@pytest.mark.parametrize(("purpose", "query"), queries())
def test_each_query_asks_for_metrics_and_labels_that_the_service_has(purpose: str, query: str) -> None:
    known = labels_by_metric()
    timed = query.replace("$__rate_interval", "5m").replace("$__range", "6h")
    promql_parser.parse(timed)

    for name, matchers in re.findall(r"\b(beforehand_\w+|up)\b(?:\{([^}]*)\})?", timed):
        assert name in known or name in SYNTHETIC, f"{purpose}: no metric {name}"
        labels = set(re.findall(r"(\w+)\s*[=!]", matchers))
        assert labels <= known.get(name, set()) | OF_PROMETHEUS, f"{purpose}: {name} has no such label"
        for values in re.findall(r'kind=~?"([^"]*)"', matchers):
            assert set(values.split("|")) <= KINDS.keys(), f"{purpose}: no such kind of problem"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.stem))
def test_manifests_pass_the_schema_of_kubernetes(path: Path) -> None:
    manifests = list(yaml.safe_load_all(path.read_text()))

    faults = {each["kind"]: fault for each in manifests if (fault := fault_of(each))}

    assert manifests
    assert faults == {}


def fault_of(manifest: dict[str, object]) -> str:
    """What the schema has against a manifest, "" if nothing."""
    try:
        kubernetes_validate.validate(manifest, "1.35", strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error.message)
    return ""


def test_the_schema_finds_a_field_that_kubernetes_does_not_know() -> None:
    manifest = next(yaml.safe_load_all((DEPLOY / "kubernetes" / "service.yaml").read_text()))
    manifest["spec"]["replica"] = 2

    assert "replica" in fault_of(manifest)


def test_the_compose_file_passes_its_schema() -> None:
    found = ComposeSpecification.model_validate(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))

    assert set(found.services or {}) == {"service", "llm", "schedule"}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        (tmp_path / unit.name).write_text(
            unit.read_text().replace("/usr/local/lib/beforehand/bin/beforehand", "/bin/true")
        )

    verified = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.glob("*"))], capture_output=True, text=True, check=False
    )

    assert (verified.returncode, verified.stderr) == (0, "")


def started_commands() -> Iterator[list[str]]:
    """Every command of ours that a unit, a container or a manifest starts."""
    for unit in UNITS:
        yield shlex.split(unit.read_text().split("ExecStart=")[1].splitlines()[0])[1:]
    for service in yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values():
        yield service.get("command", [])
    for manifest in (each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())):
        yield from (found["args"] for found in containers(manifest) if "args" in found)


def containers(node: object) -> Iterator[dict[str, list[str]]]:
    """Every container within a manifest."""
    if isinstance(node, dict):
        if "image" in node:
            yield node
        for value in node.values():
            yield from containers(value)
    elif isinstance(node, list):
        for value in node:
            yield from containers(value)


@pytest.mark.parametrize("arguments", started_commands(), ids=" ".join)
def test_each_command_that_is_started_is_one_of_ours(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli, [*arguments, "--help"])

    assert result.exit_code == 0, result.output


def test_the_images_have_the_client_of_object_stores_that_the_package_names() -> None:
    extras = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    client = next(each for each in extras["s3"] if each.startswith("obstore"))

    for image in (DEPLOY / "containers").iterdir():
        assert client in image.read_text(), image.name


def test_the_configuration_of_the_cluster_is_valid(tmp_path: Path) -> None:
    manifests = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "configuration.yaml").read_text()))
    text = next(each for each in manifests if each["kind"] == "ConfigMap")["data"]["beforehand.toml"]
    (tmp_path / "beforehand.toml").write_text(text)

    settings = read_settings((tmp_path / "beforehand.toml", ()))

    assert settings.project.store is not None
    assert settings.project.store.get_secret_value() == "s3://my-bucket/beforehand"
    assert settings.batch.generate_with == "endpoints"
