"""The entrypoints that `prefect.yaml` names: the flows, for Prefect's own workers.

Prefect imports an entrypoint with the working directory first on the path, where a user's `flows/` or `batch.py`
would be taken for ours. So our own folder comes first while the flows are imported.
"""

import sys
from pathlib import Path

_HOME = str(Path(__file__).resolve().parents[1])

sys.path.insert(0, _HOME)
try:
    from flows.chores import check_release, prune_data
    from flows.compact_journal import compact_journal
    from flows.schedule import scheduled_build
finally:
    sys.path.remove(_HOME)

__all__ = ["check_release", "compact_journal", "prune_data", "scheduled_build"]
