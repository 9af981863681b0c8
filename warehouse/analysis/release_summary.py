"""Describes releases, and the differences between two, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from warehouse.analysis.diff import Difference, counts
from warehouse.releases.release import CheckRow, Manifest, Release, current_id, failed_builds, releases, unreadable
from warehouse.sql import sql_text

_SHOWN = 20


def describe_releases(data: Path) -> Iterator[str]:
    """Yield a line for each release, the current one marked, then for failed builds and unreadable folders."""
    present = current_id(data)
    for release in releases(data):
        mark = "*" if release.release_id == present else " "
        yield f"{mark} {release.release_id}  {_when(release.manifest)}  {release.manifest.get('model', '')}"
    for build in failed_builds(data):
        yield f"! {build.release_id}  {_when(build.manifest)}  failed its audit, not published"
    for name in unreadable(data):
        yield f"? {name}  can't be read as a release; `releases rollback` and `prune` leave it alone"


def describe_release(release: Release) -> str:
    """Return a release's origin, its counts, and the results of its audit."""
    manifest = release.manifest
    size = sum(manifest.get("sizes", {}).values()) / 1e6
    lines = [
        f"release    {release.release_id}{' (failed, not published)' if manifest.get('failed') else ''}",
        f"built      {_when(manifest)} by run {manifest.get('run_id', '?')}",
        f"model      {manifest.get('model', '?')}",
        f"encoder    {manifest.get('encoder', {}).get('id', '?')}",
        f"size       {size:,.1f} MB in {len(manifest.get('sizes', {}))} files",
    ]
    with duckdb.connect(str(release.database), read_only=True) as connection:
        for label, text in connection.execute(sql_text("release_summary.sql")).fetchall():
            lines.append(f"{label:<10} {text}")
    lines += ["", "audit", *_audit_lines(manifest.get("audit", []))]
    return "\n".join(lines)


def _audit_lines(checks: Sequence[CheckRow]) -> Iterator[str]:
    for check in checks:
        yield f"  {'passed' if check['passed'] else 'FAILED'}  {check['explanation']}"
        if not check["passed"]:
            yield from (f"            {example}" for example in check["examples"])
    if not checks:
        yield "  none"


def describe_differences(differences: Sequence[Difference], *, full: bool) -> str:
    """Return counts of differences, then each with its causes; `full` lists all, with both answers."""
    lines = [
        f"{sum(causes.values())} {change}: "
        + ", ".join(f"{n} {cause or 'no other cause'}" for cause, n in causes.items())
        for change, causes in counts(differences).items()
    ] or ["the two releases answer alike"]
    shown = differences if full else differences[:_SHOWN]
    for each in shown:
        causes = f" ({', '.join((*each.causes, *each.documents))})" if each.causes or each.documents else ""
        lines.append(f"\n{each.change}{causes}: {each.question}")
        if full:
            lines += [f"  - {each.answer_before or ''}", f"  + {each.answer_after or ''}"]
    if len(differences) > len(shown):
        lines.append(f"\n… and {len(differences) - len(shown)} more; --full shows all, with both answers")
    return "\n".join(lines)


def _when(manifest: Manifest) -> str:
    """Return when a release was built, to the second."""
    return (
        datetime.fromisoformat(manifest["created_at"]).isoformat(timespec="seconds")
        if "created_at" in manifest
        else "?"
    )
