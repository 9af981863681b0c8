"""What the review page shows of the queue and of a decision, in words; the templates write the HTML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from markupsafe import Markup

from online.pages.faq_view import text_html
from rag.prompting.citations import references

if TYPE_CHECKING:
    from warehouse.editorial.decisions import Decision
    from warehouse.editorial.evidence import Evidence
    from warehouse.editorial.queue import QueueItem, Reason
    from warehouse.editorial.wordings import Ruling

_LABELS = {"conflict": "Reviewers disagree", "document withdrawn": "Document withdrawn"}
_ADVICE = {
    "rejected before": "It was rejected, and its answer has changed since. Confirm the rejection, or decide anew.",
    "edited before": "A reviewer's text is served, and what it rests on has changed. Confirm the text, or change it.",
    "conflict": "Reviewers decided differently. The last decision holds until one of you decides again.",
    "document withdrawn": "The team's answer names a document that was withdrawn, so it is not served.",
    "document changed": "The team's answer names a document that has changed. Check that it still holds.",
    "withheld": "The automatic checks hold it back, and visitors don't see it.",
    "nowhere written": "No passage of the documents seems to answer it. Write it down, or answer it yourself.",
    "approval lapsed": "It was approved, and the answer has changed since. Confirm, or decide anew.",
    "poor feedback": "It is served, and visitors found it unhelpful.",
    "doubtful": "It is served, and an automatic check has doubts.",
    "asked otherwise": "Does it want the same answer? Accept it as a wording of the question, or deny it, below.",
    "same answer": "Both questions may want one answer: join them, or keep them apart.",
    "asked by visitors": "Visitors typed this question. It is shown to nobody else until you list it.",
}
_DONE = {"approve": "Approved", "edit": "Edited", "reject": "Rejected", "reconsider": "Decision taken back"}
_CONFIRM = {"approve": "Confirm the approval", "edit": "Confirm the edited text", "reject": "Confirm the rejection"}
_SNIPPET = 220
_WHENCE = {
    "journal": "typed by visitors",
    "model": "written by the language model",
    "judge": "written by the language model",
    "review": "a question of its own before",
}


@dataclass(frozen=True)
class Filter:
    """Which part of the queue is looked at; "" means all."""

    collection: str = ""
    reason: str = ""

    def has(self, item: QueueItem) -> bool:
        """Whether an item belongs to that part."""
        kinds = {each.kind for each in item.reasons}
        return self.collection in ("", item.collection) and (not self.reason or self.reason in kinds)

    def query(self, **more: str) -> str:
        """Return it as a query string, "" or with its question mark."""
        fields = {"collection": self.collection, "reason": self.reason, **more}
        encoded = urlencode({name: value for name, value in fields.items() if value})
        return f"?{encoded}" if encoded else ""


def part_of_queue(fields: Mapping[str, str]) -> Filter:
    """Return which part of the queue is looked at."""
    return Filter(fields.get("collection", "")[:200], fields.get("reason", "")[:40])


@dataclass(frozen=True)
class Choice:
    """A part of the queue as a link: its name, how much waits there, and whether it is looked at."""

    label: str
    count: int
    query: str
    chosen: bool


@dataclass(frozen=True)
class Draft:
    """A text that a reviewer has typed but not saved, as visitors would see it; `lost` references lead nowhere."""

    text: str
    html: Markup
    lost: Sequence[int]


@dataclass(frozen=True)
class Place:
    """Where an item stands in the part of the queue that is looked at; `number` is 0 if it isn't there."""

    number: int
    total: int
    before: str | None
    after: str | None


def by_collection(items: Iterable[QueueItem], collections: Collection[str], chosen: Filter) -> list[Choice]:
    """Return the choices of a collection; none if there is only one."""
    if len(collections) < 2:
        return []
    counts = Counter(item.collection for item in items if replace(chosen, collection="").has(item))
    names = [("All", ""), *((name, name) for name in sorted(collections))]
    return [
        Choice(
            label,
            counts[name] if name else counts.total(),
            replace(chosen, collection=name).query(),
            chosen.collection == name,
        )
        for label, name in names
    ]


def by_reason(items: Iterable[QueueItem], chosen: Filter, reasons: Sequence[str]) -> list[Choice]:
    """Return the choices of a reason, in the order of `reasons`; those that nothing has are left out."""
    here = [item for item in items if replace(chosen, reason="").has(item)]
    counts: Counter[str] = Counter(kind for item in here for kind, _ in grouped(item.reasons))
    every = Choice("All", len(here), replace(chosen, reason="").query(), not chosen.reason)
    return [
        every,
        *(
            Choice(label(kind), counts[kind], replace(chosen, reason=kind).query(), chosen.reason == kind)
            for kind in reasons
            if counts[kind] or chosen.reason == kind
        ),
    ]


def place(items: Sequence[QueueItem], query_key: str) -> Place:
    """Return where an item stands, and its neighbours' keys."""
    keys = [item.query_key for item in items]
    if query_key not in keys:
        return Place(0, len(keys), None, keys[0] if keys else None)
    at = keys.index(query_key)
    return Place(at + 1, len(keys), keys[at - 1] if at else None, keys[at + 1] if at + 1 < len(keys) else None)


def grouped(reasons: Iterable[Reason]) -> list[tuple[str, list[str]]]:
    """Return each kind of reason with its details, in the order of the reasons; several wordings may be in doubt."""
    found: dict[str, list[str]] = {}
    for each in reasons:
        found.setdefault(each.kind, []).append(each.detail)
    return list(found.items())


def whence(ruling: Ruling) -> str:
    """Return where a text beside an answer comes from, who ruled about it, and when."""
    source = _WHENCE.get(ruling.origin, "from a file of the team")
    return f"{source}; {'decided' if ruling.person else 'judged'} by {ruling.approved_by}, {ruling.since[:10]}"


def label(kind: str) -> str:
    """Return a reason as people read it."""
    return _LABELS.get(kind, kind.capitalize())


def advice(kind: str) -> str:
    """Return what a reason means for a reviewer."""
    return _ADVICE[kind]


def state(item: QueueItem) -> str:
    """Return in a few words what visitors get now."""
    held = item.decided_before
    verdict = None if held is None else held.verdict(item.fingerprint)
    if held is not None and verdict == "reject":
        return "Rejected; may be answered live" if held.allow_live else "Rejected: not answered"
    if verdict == "edit":
        return "Served: edited by the team"
    if verdict == "approve":
        return "Served: approved"
    if any(each.kind == "document withdrawn" for each in item.reasons) or item.status != "served":
        return "Withheld"
    return "Served: written by the team" if item.origin == "curated" else "Served: not reviewed"


def former_title(item: QueueItem) -> str:
    """Return what the former text of an item is."""
    held = item.decided_before
    is_edit = held is not None and held.decision == "edit"
    return "What the model writes now" if is_edit else "The text that was decided about before"


def confirming(item: QueueItem) -> str | None:
    """Return the label of the button that confirms what was decided before; None if nothing has to be confirmed."""
    held = item.decided_before
    waits = {"rejected before", "edited before", "approval lapsed", "conflict"} & {each.kind for each in item.reasons}
    return _CONFIRM[held.decision] if held is not None and waits else None


def may_approve(item: QueueItem) -> bool:
    """Whether approving differs from confirming; an edited text is not approved but confirmed."""
    held = item.decided_before
    return held is None or held.decision == "reject" or (held.decision == "approve" and confirming(item) is None)


def done(decision: Decision) -> str:
    """Return what a decision did."""
    live = ", may be answered live" if decision.allow_live else ""
    return f"{_DONE[decision.decision]}{live}"


def when(moment: str) -> str:
    """Return a time as people read it."""
    try:
        return f"{datetime.fromisoformat(moment):%-d %b %Y, %H:%M} UTC"
    except ValueError:  # an old record
        return "at an unknown time"


def shown(text: str, evidence: Iterable[Evidence], *, linked: bool = True) -> Markup:
    """Return a text as the FAQ page shows it; its references lead to the passages, if it is `linked`."""
    return text_html(text, frozenset(each.number for each in evidence), "passage-" if linked else "")


def draft(text: str, evidence: Sequence[Evidence]) -> Draft:
    """Return the preview of a text."""
    plain = text.replace("\r\n", "\n").strip()
    lost = sorted(set(references(plain)) - {each.number for each in evidence})
    return Draft(plain, shown(plain, evidence), lost)


def snippet(text: str) -> str:
    """Return the beginning of a text, for a list."""
    line = " ".join(text.split())
    return line if len(line) <= _SNIPPET else f"{line[:_SNIPPET].rsplit(' ', 1)[0]} …"
