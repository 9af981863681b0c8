"""Alerts: what a webhook gets, that it is asked again, and that a dead one fails nothing."""

from __future__ import annotations

import logging

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flows.reporting.alerts import Alert, send
from rag.credentials import SecretAddress
from tests.fake_llm import served

ALERT = Alert("audit refused", "the build failed its audit", "20261126T020000-abcd", "f-1", "http://prefect/f-1")


class Hook:
    """A webhook that fails a number of times, then keeps what it gets."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.got: list[dict[str, object]] = []
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        if self.failures:
            self.failures -= 1
            return Response(status_code=503)
        self.got.append(await request.json())
        return Response(status_code=204)


@pytest.mark.parametrize("failures", [0, 2])
def test_an_alert_arrives_even_if_the_first_tries_fail(failures: int) -> None:
    hook = Hook(failures)

    with served(hook.app) as url:
        assert send(SecretAddress(f"{url}/hook"), ALERT, pauses=(0.0, 0.0))

    [got] = hook.got
    assert (got["event"], got["message"], got["run_id"]) == (ALERT.event, ALERT.message, ALERT.run_id)
    assert (got["flow_run"], got["flow_run_url"]) == (ALERT.flow_run, ALERT.flow_run_url)
    assert got["text"] == "beforehand: audit refused: the build failed its audit", "what chat services show"


def test_a_webhook_that_is_down_is_given_up_with_a_line_that_quotes_no_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hook = Hook(failures=9)
    with served(hook.app) as url, caplog.at_level(logging.WARNING):
        assert not send(SecretAddress(f"{url}/hook?token=hush"), ALERT, pauses=(0.0,))

    assert hook.failures == 7
    assert "it said 503" in caplog.text
    assert "hush" not in caplog.text


def test_without_a_webhook_nothing_is_sent() -> None:
    assert not send(None, ALERT)
