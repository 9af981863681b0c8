"""The process of a machine's engine: builds what `machine_engine` describes on standard input, and serves it.

python -m batch.vllm.engine_process SOCKET
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
from pathlib import Path

from batch.vllm.engine import VllmEngine
from batch.vllm.machine_engine import POOL_ID, EngineRequest, serve_engine
from rag.errors import ModelError

_IDLE_SECONDS = 600.0


def _main() -> None:
    """Build the engine that is described on standard input, and serve it at the socket that is named."""
    path = Path(sys.argv[1])
    request: EngineRequest = pickle.load(sys.stdin.buffer)
    engine = VllmEngine(request.model, request.settings, request.context_tokens)
    try:
        engine.start()
    except ModelError as error:
        sys.exit(str(error))
    pool = int((path.parent / POOL_ID).read_text())
    asyncio.run(serve_engine(engine, path, _IDLE_SECONDS, lambda: _lives(pool)))
    path.unlink(missing_ok=True)
    engine.close()


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    _main()
