"""What a run says of its servers before anything is loaded: a wrong name is told, and no right one refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from beforehand.configuration import Settings, read_settings
from beforehand.model_servers import refuse_judge, refuse_servers, service_warning
from rag.errors import LlmMisconfiguredError
from tests.fake_llm import Behaviour, FakeLlm, served

ADAPTED = ("granite-8b", "granite-8b-legal", "granite-8b-support")


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., Settings]:
    """Read a configuration whose batch has these servers, and whose model has this name."""
    (tmp_path / "beforehand.toml").write_text('[batch]\ngenerate_with = "endpoints"\n')

    def settings(*urls: str, **sets: str) -> Settings:
        endpoints = ", ".join(f'"{url}/v1"' for url in urls)
        flags = {"batch.endpoints": f"[{endpoints}]", "llm.model": "granite", **sets}
        return read_settings((tmp_path / "beforehand.toml", tuple(f"{key}={value}" for key, value in flags.items())))

    return settings


def refusal(settings: Settings) -> str | None:
    """Return why a run with these settings does not begin, or None if it does."""
    try:
        refuse_servers(settings)
    except LlmMisconfiguredError as error:
        return str(error)
    return None


def test_a_name_that_one_server_of_a_fleet_does_not_serve_is_told_with_those_that_it_does(
    settings_of: Callable[..., Settings],
) -> None:
    right = FakeLlm(Behaviour(models=("granite",), knows_listed_alone=True))
    wrong = FakeLlm(Behaviour(models=(*ADAPTED, "llama"), knows_listed_alone=True))
    with served(right.app) as first, served(wrong.app) as second:
        refused = refusal(settings_of(first, second))

    assert refused == (
        f'[llm] model: the server at {second}/v1 has "granite-8b", "granite-8b-legal", "granite-8b-support" and '
        '1 more, not "granite"; correct the name, or start the server with that model'
    )


@pytest.mark.parametrize(
    ("behaviour", "model"),
    [
        (Behaviour(models=ADAPTED, knows_listed_alone=True), "granite-8b-legal"),
        (Behaviour(models=("/models/granite.gguf",)), "granite"),  # answers by any name
        (Behaviour(models=(), knows_listed_alone=True), "granite"),
        (Behaviour(models_fail_with=404), "granite"),
        (Behaviour(models=("other",), fail_with=503), "granite"),  # still loading
    ],
    ids=["an adapter", "a name of no matter", "nothing listed", "no list", "not ready"],
)
def test_a_name_that_a_server_may_answer_by_is_not_refused(
    settings_of: Callable[..., Settings], behaviour: Behaviour, model: str
) -> None:
    with served(FakeLlm(behaviour).app) as url:
        assert refusal(settings_of(url, **{"llm.model": model})) is None


def test_servers_that_are_away_or_hang_are_asked_at_once_and_hold_up_nobody(
    settings_of: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beforehand.model_servers._SECONDS", 1.5)
    slow = [FakeLlm(Behaviour(models=("other",), seconds=60.0)) for _ in range(3)]
    with ExitStack() as stack:
        urls = [stack.enter_context(served(each.app)) for each in slow]
        began = time.monotonic()
        refused = refusal(settings_of("http://127.0.0.1:9", *urls))
        seconds = time.monotonic() - began

    assert refused is None
    assert seconds < 30
    assert [len(each.requests) for each in slow] == [1, 1, 1]


def test_the_judge_of_an_evaluation_and_the_model_of_the_service_are_looked_for_too(
    settings_of: Callable[..., Settings],
) -> None:
    model = FakeLlm(Behaviour(models=("llama",), knows_listed_alone=True))
    with served(model.app) as url:
        judge = {"evaluation.judge_endpoint": f"{url}/v1", "evaluation.judge_model": "judge"}
        settings = settings_of(url, **judge, **{"llm.endpoint": f"{url}/v1"})
        with pytest.raises(LlmMisconfiguredError, match=r'^\[evaluation\] judge_model: the server .* has "llama"'):
            refuse_judge(settings)
        warning = service_warning(settings)

    assert warning is not None and warning.startswith(f'[llm] model: the server at {url}/v1 has "llama", not "granite"')
