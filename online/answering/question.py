"""A question and its answer, prepared or live, as they travel from the request to the journal."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from online.answering.single_flight import Flight
from online.release.stored_heads import Head
from rag.filters import Filters
from rag.llm.protocol import Completion, Delta, Message, Sampling

if TYPE_CHECKING:
    from online.answering.near_wording import NearWording
    from online.errors import Suggestion
    from online.http.schemas import AnswerSource, Handover, UnansweredSource
    from rag.paraphrase.calibration import Certificate
    from rag.paraphrase.verifier import Decision
    from rag.prompting.citations import Linked
    from rag.retrieval.passages import Passage
    from rag.retrieval.vectors import Vectors
    from rag.selection.certificate import SelectionCertificate


@dataclass(frozen=True)
class Asked:
    """A question after authentication and validation. `started` is on `time.perf_counter`.

    `query_key` is empty in a chat that is only passed on; `passed_on` says that the model gets the caller's own
    parameters, `rewritten` that the language model put a follow-up into other words. `asker` is the key's name or a
    hash of the client's address. `fresh` asks for a live answer (`Cache-Control: no-cache`), `private` keeps the text
    out of the journal (`no-store`), `stream` sends the text as it comes, `html` sends it as HTML, too, and `sampling`
    overrides the configured sampling of a live answer. `filters` are the values that documents must have
    (`rag.filters`). `tolerated_error` and `least_score` make the search for a semantic hit stricter than the collection
    has it.
    """

    request_id: str
    collection: str
    question: str
    query_key: str
    started: float
    key_id: str | None = None
    asker: str | None = None
    route: str = "answers"
    explain: bool = False
    stream: bool = False
    html: bool = False
    fresh: bool = False
    private: bool = False
    sampling: Sampling | None = None
    filters: Filters = ()
    passed_on: bool = False
    rewritten: bool = False
    tolerated_error: float | None = None
    least_score: float = 0.0


@dataclass(frozen=True)
class Retrieved:
    """The passages for a prompt, and how long it took to find them."""

    passages: Sequence[Passage]
    seconds: float


@dataclass(frozen=True)
class Sought:
    """What the semantic search found: the question's vector, what was near, and the verifier's decision, if asked.

    `certificate` is what the threshold of the decision rests on; the default verifier has none. `barred` is the
    decision about the questions near it whose answers are withheld. `retrieved` is there if the passages of a miss were
    looked for at once.
    """

    vector: Vectors
    candidates: tuple[NearWording, ...]
    decision: Decision | None
    certificate: Certificate | SelectionCertificate | None
    embed_seconds: float
    barred: Decision | None = None
    retrieved: Retrieved | None = None

    @property
    def hit(self) -> str | None:
        """The query key of the anticipated question that asks the same, or None."""
        return self.decision.query_key if self.decision is not None and self.decision.accepted else None

    @property
    def hit_wording(self) -> str | None:
        """The key of the wording of the hit that was nearest, or None."""
        return next((each.wording_key for each in self.candidates if each.query_key == self.hit), None)

    @property
    def withheld(self) -> str | None:
        """The query key of the withheld question that asks the same, or None; a hit that is nearer wins."""
        if self.barred is None or not self.barred.accepted:
            return None
        nearer = self.decision is not None and self.decision.accepted and self.decision.score > self.barred.score
        return None if nearer else self.barred.query_key

    @property
    def refusal(self) -> str:
        """Why there was no hit, as a label."""
        if self.decision is not None:
            return self.decision.reason
        return "off" if self.candidates else "no_candidates"


@dataclass(frozen=True)
class Prepared:
    """An anticipated answer: its JSON `body` as the release holds it; `wording_key` is the wording that was hit."""

    body: bytes
    head: Head
    release_id: str
    source: AnswerSource = "exact"
    confidence: float = 1.0
    sought: Sought | None = None
    wording_key: str = ""

    @property
    def age_seconds(self) -> int:
        """Seconds since the answer was generated."""
        return max(0, int(time.time() - self.head.generated_at.timestamp()))

    @property
    def fingerprint(self) -> str:
        """The answer's fingerprint."""
        return self.head.fingerprint


@dataclass(frozen=True)
class Opening:
    """What is known of a live answer before its first word: the passages of the prompt and, by them, the fingerprint.

    `rewritten` is what was searched for beside the question itself, if anything.
    """

    release_id: str
    sought: Sought
    passages: Sequence[Passage]
    prompt: Sequence[Message]
    fingerprint: str
    retrieve_seconds: float
    queue_seconds: float
    rewritten: str | None = None


@dataclass(frozen=True)
class LiveAnswer:
    """A whole live answer. `support` says how much of it its passages bear out, from 0 to 1.

    `words` are those of all texts of the message, reasoning included, since a chat is sent that too. `reasoning` is
    what the model thought aloud in its text, `fault` the rule that the answer breaks, if any
    (`rag.prompting.answer_rules`).
    """

    linked: Linked
    support: float
    completion: Completion
    generated_at: datetime.datetime
    llm_seconds: float
    words: str
    reasoning: str | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Unanswered:
    """What is told instead of an answer: `text` and perhaps a `handover`; `reason` is a short word.

    `live` is the answer that is not shown, if one was generated; `opening` is what it began with.
    """

    source: UnansweredSource
    reason: str
    text: str
    handover: Handover | None
    suggestions: tuple[Suggestion, ...]
    release_id: str
    sought: Sought | None = None
    opening: Opening | None = None
    live: LiveAnswer | None = None


Begun = Prepared | Unanswered | Opening
AnswerFlight = Flight[Begun, Delta, LiveAnswer]


@dataclass
class Live:
    """A live answer that has begun. `joined` says that it shares the call of an identical question in flight.

    `verdict` says what is to be told instead, if anything: of the whole answer, or of one that has only begun (None).
    `settled` is the outcome once it is known.
    """

    opening: Opening
    flight: AnswerFlight
    verdict: Callable[[LiveAnswer | None], Unanswered | None]
    joined: bool = False
    settled: LiveAnswer | Unanswered | None = None

    @property
    def release_id(self) -> str:
        """The release whose passages are in the prompt."""
        return self.opening.release_id

    @property
    def fingerprint(self) -> str:
        """The answer's fingerprint."""
        return self.opening.fingerprint

    def deltas(self) -> AsyncIterator[Delta]:
        """Yield the message as it comes, before it is checked."""
        return self.flight.follow()

    async def pieces(self) -> AsyncIterator[str]:
        """Yield the text as it comes, before it is checked; stop when somebody rejects it."""
        async for delta in self.deltas():
            if self.verdict(None) is not None:
                return
            if delta.text:
                yield delta.text

    async def result(self) -> LiveAnswer | Unanswered:
        """Return the whole answer, or what is told instead; the same at every call."""
        if self.settled is None:
            answer = await asyncio.shield(self.flight.result)
            self.settled = self.verdict(answer) or answer
        return self.settled
