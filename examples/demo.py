"""The main job on the example, end to end: a release, a few answers over HTTP, and what to type next.

    python examples/demo.py

Everything that it starts it also stops, on every way out; what it can't stop any more, because it was killed, ends
by itself. Run it from the project's root, or use `make demo`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "python"
COMMAND = [str(Path(sys.executable).parent / "beforehand"), "--config", str(EXAMPLE / "beforehand.toml")]

SERVED = "SELECT question FROM answers_with_citations WHERE status = 'served' ORDER BY support DESC, question LIMIT 3"
NEW = "Which keyword leaves a function and hands a value back to its caller?"

DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # what runs here is behind no proxy

NEXT = """
What to do next, from examples/python:
  beforehand sql                               what there is to query
  beforehand sql "SELECT question, answer, status FROM answers_with_citations LIMIT 5"
  beforehand llm & beforehand serve            the two services, until Ctrl-C
  beforehand ask "How do I loop over a list?"  asks them
Change a file in examples/python/documents and `beforehand run` again: only what rests on it is generated.
(`source .venv/bin/activate` puts beforehand on the path.)
"""


def main() -> None:
    """Build, serve, ask."""
    end_on(signal.SIGTERM, signal.SIGHUP)
    say("The documents: the Python language reference that ships inside CPython")
    call(sys.executable, str(EXAMPLE / "write_documents.py"), str(EXAMPLE / "documents"))
    known = (EXAMPLE / "data" / "releases" / "CURRENT").exists()
    with contextlib.ExitStack() as running:
        if known:  # there is little to generate, so both cores are free for the microservice's start
            llm = running.enter_context(started("llm", "--port", str(port := free_port())))
        say("The batch run: documents and anticipated questions in, a release out")
        call(*COMMAND, "--set", "batch.anticipate_misses=0", "run")  # so that the live question stays a new one
        if not known:
            llm = running.enter_context(started("llm", "--port", str(port := free_port())))
        endpoint = f"http://127.0.0.1:{port}"
        service = f"http://127.0.0.1:{(service_port := free_port())}"
        configured = ("--set", f"llm.endpoint={endpoint}/v1")
        running.enter_context(started(*configured, "serve", "--port", str(service_port)))
        wait_for(f"{service}/healthz", "the answer service")
        say("Anticipated questions, with other capitals and spaces: answered from the release, without a model")
        for question in served_questions():
            ask(service, f"  {question.rstrip('?').swapcase()}")
        say("A question that nobody anticipated: answered live by the LLM microservice")
        wait_for(f"{endpoint}/health", "the LLM microservice (one to two minutes)", llm)
        ask(service, NEW)
    print(NEXT)


def end_on(*numbers: signal.Signals) -> None:
    """Let signals end the demo in order; one that is ignored, as nohup wants it, stays so."""
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, _: sys.exit(128 + number))


def environment() -> dict[str, str]:
    """Return the environment of what is started: it names us, so that it ends with us even if we are killed."""
    return {**os.environ, "BEFOREHAND_PARENT": str(os.getpid())}


def served_questions() -> list[str]:
    """Return three anticipated questions whose answers passed the audit."""
    found = subprocess.run([*COMMAND, "sql", SERVED, "--format", "json"], capture_output=True, text=True, check=True)
    return [row["question"] for row in json.loads(found.stdout)]


def say(what: str) -> None:
    """Print a heading."""
    print(f"\n== {what}", flush=True)


def call(*command: str) -> None:
    """Run a command to its end; its failure ends the demo with its exit code."""
    process = subprocess.Popen(command, env=environment())
    try:
        code = process.wait()
    except BaseException:
        stop(process)
        raise
    if code:
        sys.exit(code)


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `beforehand` command beside the demo, and stop it at the end of the block."""
    log = EXAMPLE / "data" / "logs" / f"demo-{arguments[-3]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=output, stderr=output, start_new_session=True, env=environment()
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process: politely, and after 30 s by force."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(service: str, question: str) -> None:
    """Ask as a user would, and show it."""
    print(f'\n$ beforehand ask "{question}"', flush=True)
    call(*COMMAND, "ask", "--url", service, question)


def wait_for(url: str, what: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until an address answers, for at most five minutes."""
    print(f"waiting for {what}", flush=True)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            with DIRECTLY.open(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    sys.exit(f"{what} did not start; see {EXAMPLE / 'data' / 'logs'}")


def free_port() -> int:
    """Return a port of the loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\ninterrupted; everything that the demo started is stopped", file=sys.stderr)
        sys.exit(130)
