"""A fleet of servers, each real and over HTTP: fast, slow, silent, dying, talking nonsense."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch.generation import fleet_member
from batch.generation.answer_stream import GenerationTask
from batch.generation.bundles import generate_files
from batch.generation.prompt_files import ChatRow, write_prompts
from batch.plan import LlmSource, Window
from batch.settings import VllmSettings
from batch.stores.generation_store import find_generations, known_fingerprints
from batch.stores.parquet import count_rows
from rag.credentials import SecretAddress
from rag.errors import LlmUnavailableError, TooManyRejectsError
from rag.llm.protocol import Sampling
from tests.fake_llm import Behaviour, FakeLlm, served
from tests.waiting import until
from warehouse.tables import RejectRow

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
Say = Callable[[str], bytes | None]
"""What a raw server sends back to a prompt: all the bytes of a response, or None for nothing, ever."""


class RawServer:
    """Sends exactly the bytes that a test wants, one connection a request, and counts what it was asked."""

    def __init__(self, say: Say) -> None:
        self.say = say
        self.asked: list[str] = []
        self.url = ""

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = json.loads(await reader.readexactly(int(head.split("content-length:")[1].split("\r\n")[0])))
        prompt = body["messages"][-1]["content"]
        self.asked.append(prompt)
        said = self.say(prompt)
        if said is None:
            await reader.read()
        elif said:
            writer.write(said)
            await writer.drain()
        else:
            writer.transport.abort()  # a reset
        writer.close()

    async def _serve(self, ready: threading.Event, stop: threading.Event) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.close()

    @contextmanager
    def serving(self) -> Iterator[RawServer]:
        ready, stop = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready, stop)), daemon=True)
        thread.start()
        ready.wait()
        try:
            yield self
        finally:
            stop.set()
            thread.join(10)


def response(body: bytes, status: int = 200, headers: str = "", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}content-length: {size}\r\n\r\n".encode() + body


ANSWER = json.dumps({"choices": [{"message": {"content": "Yes."}, "finish_reason": "stop"}]}).encode()


def answer(_prompt: str) -> bytes:
    return response(ANSWER)


def prompts(count: int, prefixes: int = 0) -> list[ChatRow]:
    return [
        {
            "collection": "default",
            "question": f"question {number}",
            "fingerprint": f"{number:04}",
            "messages": json.dumps([{"role": "user", "content": f"question {number}"}]),
            "prefix": f"passage {number * prefixes // count}" if prefixes else "",
        }
        for number in range(count)
    ]


def generate(
    folder: Path,
    rows: Sequence[ChatRow],
    *urls: str,
    in_flight: int = 8,
    most_rejected: int = 100,
    time_limit: float = 20.0,
    checkpoint: int = 16,
) -> list[RejectRow]:
    """Generate the prompts on servers, into the store of `folder`."""
    endpoints = tuple(SecretAddress(f"{url}/v1") for url in urls)
    source = LlmSource("endpoints", "m", "1", 2048, VllmSettings(), endpoints=endpoints, timeout_seconds=time_limit)
    (folder / "store").mkdir(exist_ok=True)
    task = GenerationTask("generate", str(folder / "store"), Sampling(), "run", source)
    paths = write_prompts(str(folder / "pending"), rows)
    return asyncio.run(generate_files(paths, source, task, Window(in_flight, checkpoint, most_rejected), BEGAN))


def all_answered(folder: Path, count: int) -> bool:
    store = str(folder / "store")
    return count_rows(store) == len(known_fingerprints(store)) == count


@pytest.fixture
def fast() -> Iterator[FakeLlm]:
    llm = FakeLlm(Behaviour(seconds=0.02, concurrency=8))
    with served(llm.app) as llm.url:
        yield llm


def test_servers_of_different_speed_finish_together(tmp_path: Path) -> None:
    llms = [FakeLlm(Behaviour(seconds=seconds, concurrency=8)) for seconds in (0.03, 0.3, 60.0)]
    with ExitStack() as stack:
        urls = [stack.enter_context(served(llm.app)) for llm in llms]
        started = time.monotonic()

        rejects = generate(tmp_path, prompts(200), *urls, time_limit=90.0)
        seconds = time.monotonic() - started

    assert all_answered(tmp_path, 200) and not rejects
    assert seconds < 30.0, "0.7 s is the ideal; the slowest server takes a minute for its first answers"
    assert llms[0].finished > llms[1].finished > llms[2].finished


def test_a_server_that_hangs_costs_one_time_limit_at_most(tmp_path: Path, fast: FakeLlm) -> None:
    with RawServer(lambda _: None).serving() as silent:
        started = time.monotonic()
        rejects = generate(tmp_path, prompts(100), silent.url, fast.url, time_limit=3.0)
        seconds = time.monotonic() - started

    assert all_answered(tmp_path, 100) and not rejects
    assert seconds < 5 * 3.0, "each prompt in turn would take twenty times as long"


@pytest.mark.parametrize(
    "said",
    [
        response(b'{"error": {"message": "broken"}}', 500),
        response(b'{"error": {"message": "busy"}}', 429, "retry-after: 30\r\n"),
        response(b"<html>welcome</html>"),
        response(ANSWER[: len(ANSWER) // 2]),
        response(ANSWER[: len(ANSWER) // 2], length=len(ANSWER)),
        b"",
    ],
    ids=["500", "429", "HTML", "half a JSON", "half a response", "a reset"],
)
def test_a_server_that_is_broken_loses_and_doubles_nothing(tmp_path: Path, fast: FakeLlm, said: bytes) -> None:
    with RawServer(lambda _: said).serving() as broken:
        rejects = generate(tmp_path, prompts(60), broken.url, fast.url)

    assert all_answered(tmp_path, 60) and not rejects
    assert len(broken.asked) < 30, "its circuit opens"


def test_a_server_that_dies_in_the_middle_and_comes_back_gets_work_again(tmp_path: Path, fast: FakeLlm) -> None:
    asked: Counter[str] = Counter()

    def dies(prompt: str) -> bytes:
        asked[prompt] += 1
        return b"" if 10 < asked.total() <= 15 else response(ANSWER)

    with RawServer(dies).serving() as dying:
        rejects = generate(tmp_path, prompts(200), dying.url, fast.url)

    assert all_answered(tmp_path, 200) and not rejects
    assert "Say yes." in asked, "it is probed"
    assert asked.total() > 20


def test_a_connection_that_is_reset_is_a_try_of_one_prompt(tmp_path: Path) -> None:
    asked: Counter[str] = Counter()

    def resets_once(prompt: str) -> bytes:
        asked[prompt] += 1
        return b"" if asked[prompt] == 1 and prompt == "question 7" else response(ANSWER)

    with RawServer(resets_once).serving() as server:
        rejects = generate(tmp_path, prompts(40), server.url)

    assert all_answered(tmp_path, 40) and not rejects
    assert asked == Counter({f"question {number}": 1 + (number == 7) for number in range(40)})


@pytest.mark.parametrize("count", [40, 1])
def test_a_prompt_that_always_fails_is_a_reject_with_its_question_and_reason(tmp_path: Path, count: int) -> None:
    def fails(prompt: str) -> bytes:
        broken = prompt == "question 0"
        return response(b'{"error": {"message": "out of luck"}}', 500) if broken else response(ANSWER)

    with RawServer(fails).serving() as one, RawServer(fails).serving() as other:
        (reject,) = generate(tmp_path, prompts(count), one.url, other.url)

    assert reject["item"] == "question 0"
    assert re.search("failed [45] times", reject["reason"])
    assert "answered 500: out of luck" in reject["reason"]
    assert "0000" not in find_generations(str(tmp_path / "store"), ["0000"])
    assert all_answered(tmp_path, count - 1)


def test_a_prompt_that_never_ends_is_a_reject(tmp_path: Path) -> None:
    with RawServer(lambda prompt: None if prompt == "question 3" else response(ANSWER)).serving() as server:
        (reject,) = generate(tmp_path, prompts(20), server.url, time_limit=0.5)

    assert reject["item"] == "question 3"
    assert all_answered(tmp_path, 19)


def test_a_prompt_that_kills_the_server_is_a_reject(tmp_path: Path) -> None:
    down = [0]

    def dies_of(prompt: str) -> bytes:
        down[0] = 3 if prompt == "question 3" else max(0, down[0] - 1)
        return b"" if down[0] else response(ANSWER)

    with RawServer(dies_of).serving() as server:
        rejects = generate(tmp_path, prompts(20), server.url)

    assert [each["item"] for each in rejects] == ["question 3"]
    assert all_answered(tmp_path, 19)


def test_too_many_rejects_stop_the_run_and_keep_what_was_answered(tmp_path: Path) -> None:
    def refuses(prompt: str) -> bytes:
        number = int(prompt.rpartition(" ")[2])
        return response(b'{"error": {"message": "too long"}}', 400) if number >= 30 else response(ANSWER)

    with RawServer(refuses).serving() as server, pytest.raises(TooManyRejectsError) as raised:
        generate(tmp_path, prompts(1000), server.url, most_rejected=10)

    said = str(raised.value)
    assert "most_rejected = 10" in said and 'question "' not in said
    assert "too long" in said
    assert all_answered(tmp_path, 30)
    assert len(server.asked) < 100


def test_a_fleet_that_is_away_fails_soon_and_rejects_nothing(tmp_path: Path, fast: FakeLlm) -> None:
    fast.behaviour.fail_with = 500

    with pytest.raises(LlmUnavailableError, match="answered 500"):
        generate(tmp_path, prompts(40), fast.url, "http://127.0.0.1:9")

    assert all_answered(tmp_path, 0)


def test_prompts_of_one_passage_go_to_one_server(tmp_path: Path) -> None:
    llms = [FakeLlm(Behaviour(seconds=0.01)) for _ in range(3)]
    with ExitStack() as stack:
        urls = [stack.enter_context(served(llm.app)) for llm in llms]

        generate(tmp_path, prompts(240, prefixes=30), *urls)

    by_server = [Counter(int(body["messages"][-1]["content"].split()[1]) // 8 for body in llm.requests) for llm in llms]
    at_home = sum(max(counts[passage] for counts in by_server) for passage in range(30))
    assert at_home > 0.8 * 240
    assert min(counts.total() for counts in by_server) > 30, "and all of them have work"


def test_a_server_that_has_not_answered_is_given_few_prompts(tmp_path: Path, fast: FakeLlm) -> None:
    with RawServer(lambda _: None).serving() as silent:
        generate(tmp_path, prompts(150), silent.url, fast.url, in_flight=64)

    assert len(silent.asked) == fleet_member.START


def test_answers_are_checkpointed_as_they_come(tmp_path: Path) -> None:
    store = tmp_path / "store"
    found: list[int] = []

    def counts(prompt: str) -> bytes:
        if prompt == "question 99":  # threads write the checkpoints
            found.append(until("earlier answers are written", lambda: count_rows(str(store)), lambda rows: rows >= 70))
        return response(ANSWER)

    with RawServer(counts).serving() as server:
        generate(tmp_path, prompts(100), server.url, checkpoint=10)

    assert 70 <= found[0] < 100
    assert all_answered(tmp_path, 100)


def test_what_an_attempt_that_failed_has_answered_is_not_asked_again(tmp_path: Path) -> None:
    with RawServer(answer).serving() as server:
        generate(tmp_path, prompts(20), server.url)
        server.asked.clear()

        generate(tmp_path, prompts(30), server.url)

    assert sorted(server.asked) == [f"question {number}" for number in range(20, 30)]
    assert all_answered(tmp_path, 30)
