"""The commands `releases check` and `releases certify`: is the current release still what it was when it was sealed?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from beforehand.configuration import Config, Settings, read_settings, reported
from beforehand.run_plan import compose_plan, golden_questions, new_run
from rag.errors import ConfigurationError

_BASIS = {
    "own wordings": " on these",
    "shipped selector": " on the public help desks of the shipped selector",
    "shipped scores on own wordings": ", an estimate from the shipped selector's scores of these",
}
"""What the bound of a selector's certificate was found on, by its source."""

if TYPE_CHECKING:
    from rag.paraphrase.calibration import Certificate
    from rag.selection.certificate import SelectionCertificate
    from warehouse.releases.release import Release


@click.command("certify")
@click.argument("release", required=False)
@click.pass_obj
@reported
def certify(config: Config, release: str | None) -> None:
    """Recompute the certificates of semantic hits and compare them with those in RELEASE.

    Those of the verifier follow from the labelled pairs, those of a collection's selector from its wordings.
    """
    from warehouse.releases.release import current, find

    settings = read_settings(config)
    found = find(settings.project.data, release) if release else current(settings.project.data)
    if _certificates_differ(settings, found, needed=True):
        raise ConfigurationError(
            "the certificates do not follow from these pairs or wordings; was the encoder changed?"
        )


@click.command("check")
@click.pass_obj
@reported
def check_current(config: Config) -> None:
    """Check the current release as a whole: checksums, certificates, golden questions.

    The exit code is 2 if one of them is not as it was; a schedule does it every week.
    """
    from warehouse.releases.release import current

    settings = read_settings(config)
    release = current(settings.project.data)
    faults = [*_changed(release), *_golden(settings, release)]
    if _certificates_differ(settings, release, needed=False):
        faults.append("certificates of semantic hits do not follow from the pairs or wordings any more")
    if faults:
        raise ConfigurationError(f"release {release.release_id}: {'; '.join(faults)}")
    click.echo(f"release {release.release_id} is as it was sealed")


def _changed(release: Release) -> Iterator[str]:
    from warehouse.releases.verification import changes_since_sealed

    changes = changes_since_sealed(release)
    click.echo(f"checksums     {len(changes) or 'no'} differences")
    yield from (each.rstrip(".") for each in changes)


def _golden(settings: Settings, release: Release) -> Iterator[str]:
    from warehouse.analysis.connection import connect
    from warehouse.audit.golden import right
    from warehouse.audit.release_audit import served_golden

    golden = [each for each in golden_questions(settings) if each.judges_answers]
    if not golden:
        click.echo("golden        none is configured")
        return
    with closing(connect(settings.project.data, release.release_id)) as session:
        answers = served_golden(session, "", golden)
    wrong = [g for g in golden if not right(g, answers.get(g.query_key), settings.audit.golden_overlap)]
    share = 1 - len(wrong) / len(golden)
    click.echo(f"golden        {len(golden) - len(wrong)} of {len(golden)} questions are right")
    for each in wrong:
        click.echo(f"              wrong: {each.question}")
    if share < settings.audit.least_golden:
        yield f"only {share:.0%} of the golden questions are right (at least {settings.audit.least_golden:.0%})"


def _certificates_differ(settings: Settings, release: Release, *, needed: bool) -> bool:
    """Recompute a release's certificates, print them, and return whether any differ; `needed` if there must be one."""
    from batch.stages.calibrate import recompute_certificates, recompute_selection

    plan = compose_plan(settings, new_run())
    selections = recompute_selection(plan, release.path)
    verifier = release.path / "verifier.json"
    wanted = verifier.exists() or (needed and not selections)
    compared = recompute_certificates(plan, verifier) if wanted else []
    differ = _reported([(stored, again, f"{stored.pairs} pairs", "") for stored, again in compared])
    for name, certificates in selections.items():
        click.echo(f"collection {name}")
        differ |= _reported(
            [(stored, again, f"{stored.questions} questions", _BASIS[stored.source]) for stored, again in certificates]
        )
    if not compared and not selections:
        click.echo("certificates  the release has none of its own")
    return differ


def _reported(compared: Sequence[tuple[Certificate | SelectionCertificate, object, str, str]]) -> bool:
    """Print certificates beside the recomputed ones, and return whether any differ."""
    for stored, again, asked, basis in compared:
        threshold = "nothing is accepted" if stored.threshold is None else f"threshold {stored.threshold:.4f}"
        click.echo(
            f"{'same' if stored == again else 'DIFFERENT'}  tolerated {stored.tolerated_error:.0%}: {threshold}, "
            f"{stored.errors} errors in {stored.accepted} accepted of {asked}, bound {stored.bound:.4f}{basis}"
        )
    return any(stored != again for stored, again, *_ in compared)
