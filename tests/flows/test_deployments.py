"""`prefect.yaml` names flows that exist, with parameters that they accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

ROOT = Path(__file__).parents[2]
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_a_deployment_can_run(deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    flow = load_flow_from_entrypoint(deployment["entrypoint"])

    assert set(deployment["parameters"]) == set(flow.parameters.properties)
    assert deployment["concurrency_limit"]["limit"] == 1, "one build at a time"


def test_the_schedule_has_the_same_deployments(tmp_path: Path) -> None:
    from flows.schedule import deployments
    from flows.settings import ScheduleSettings

    own = deployments(tmp_path / "beforehand.toml", ScheduleSettings(), tmp_path / "data", {})

    assert [
        (each.name, each.entrypoint.rsplit(".", 1)[1], each.schedules[0].schedule.cron, each.tags, set(each.parameters))
        for each in own
    ] == [
        (
            each["name"],
            each["entrypoint"].rsplit(".", 1)[1],
            each["schedules"][0]["cron"],
            each["tags"],
            set(each["parameters"]),
        )
        for each in DEPLOYMENTS
    ]
    limits = [(each.concurrency_limit, each.concurrency_options.collision_strategy) for each in own]
    assert limits == [
        (each["concurrency_limit"]["limit"], each["concurrency_limit"]["collision_strategy"]) for each in DEPLOYMENTS
    ]
