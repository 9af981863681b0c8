"""The command line.

Each command reads the configuration, makes the objects that a room needs, and calls the room. Its module is imported
when it is called, and packages that take seconds to import by the command that needs them. A user's error is one
sentence on standard error and exit code 2.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import click

from batch.child_process import die_with_named_parent
from beforehand.configuration import AROUND, reach_loopback_directly
from beforehand.lazy_group import LazyGroup
from beforehand.object_store import with_data
from rag.credentials import HidingFormatter


def main() -> None:
    """Run the command line."""
    die_with_named_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that child processes are stopped
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))  # through the current handler
    show_errors()
    os.environ["PYTHONSAFEPATH"] = "1"  # child processes import nothing from the working folder
    # The selector solves small systems: several threads for one cost more than they save on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    reach_loopback_directly()
    cli(prog_name="beforehand")


def show_errors() -> None:
    """Print errors that packages log, without secrets; what a run raises is left to the command, as one sentence."""
    logging.basicConfig(level=logging.ERROR)
    handler = logging.getLogger().handlers[0]
    handler.setLevel(logging.ERROR)  # packages lower the level of their loggers
    handler.setFormatter(HidingFormatter(logging.BASIC_FORMAT))
    handler.addFilter(lambda record: not record.name.startswith(("prefect.flow_runs", "prefect.task_runs")))


_COMMANDS = {
    "ask": "beforehand.commands.service:ask",
    "bisect": "beforehand.commands.bisect:bisect",
    "check": "beforehand.commands.check:check",
    "decide": "beforehand.commands.decide:decide",
    "eval": "beforehand.commands.eval:evaluate",
    "follow": "beforehand.commands.follow:follow",
    "generate": "beforehand.commands.generate:generate",
    "impact": "beforehand.commands.impact:impact",
    "init": "beforehand.commands.init:init",
    "key": "beforehand.commands.service:make_key",
    "llm": "beforehand.commands.service:llm",
    "models": "beforehand.commands.models:models",
    "plan": "beforehand.commands.plan:plan",
    "releases": "beforehand.commands.warehouse:releases",
    "report": "beforehand.commands.report:report",
    "review": "beforehand.commands.review:review",
    "run": "beforehand.commands.run:run",
    "schedule": "beforehand.commands.schedule:schedule",
    "serve": "beforehand.commands.service:serve",
    "sql": "beforehand.commands.warehouse:sql",
    "up": "beforehand.commands.up:up",
    "withdraw": "beforehand.commands.warehouse:withdraw",
    "workers": "beforehand.commands.workers:workers",
}


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("beforehand.toml"),
    envvar="BEFOREHAND_CONFIG",
    show_default=True,
    help="The project's configuration.",
)
@click.option("--set", "flags", multiple=True, metavar="SECTION.KEY=VALUE", help="Override one setting; repeatable.")
@click.pass_context
def cli(context: click.Context, config: Path, flags: tuple[str, ...]) -> None:
    """Answer the questions that people are about to ask, before they ask them."""
    context.obj = (config, flags)
    context.meta[AROUND] = with_data


if __name__ == "__main__":
    main()
