"""What the system prompt and the earlier turns of a chat mean, by the settings of its key and its collection.

A prepared answer knows nothing of a system prompt. Most of them ask for nothing that it lacks, but one may ask for
JSON, another language or a translation, and nobody can tell that by rules. So by default a prompt counts as satisfied
only if its hash is listed, or if it is made of the words of "You are a helpful assistant." alone, which are too few to
ask for anything in particular.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.collection_settings import CollectionSettings, EarlierTurns, SystemPrompt

if TYPE_CHECKING:
    from online.http.authentication import Caller

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_ORDINARY = frozenset(
    """a an the you are you're i am you'll your is be please always and as in to of with for who that can will by best
    very most ai assistant assistants chatbot bot agent model chat support customer service help desk helpdesk virtual
    digital personal helpful friendly polite kind courteous honest harmless truthful knowledgeable professional
    respectful concise brief clear accurate direct expert smart intelligent great good nice useful trustworthy reliable
    informative careful short plain answer answers answering respond response responses reply replies assist assists
    assisting helps helping provide provides give gives question questions query queries user user's users people
    person customer customer's customers them their me my our us briefly concisely clearly politely accurately honestly
    truthfully helpfully kindly directly today ability way possible manner tone one sentence
    sentences""".split()
)
_LONGEST = 400  # characters of a prompt that may be found ordinary


@dataclass(frozen=True)
class ChatRules:
    """What the system prompt and the earlier turns of a chat mean; `known` are hashes of system prompts."""

    system_prompt: SystemPrompt = "pin"
    earlier_turns: EarlierTurns = "last"
    known: frozenset[str] = frozenset()

    def admits(self, prompt: str) -> bool:
        """Whether a chat with this system prompt may be looked up."""
        if self.system_prompt == "pin":
            return prompt_hash(prompt) in self.known or is_ordinary(prompt)
        return self.system_prompt == "ignore"


def rules_of(caller: Caller, settings: CollectionSettings | None) -> ChatRules:
    """Return the rules of a chat: what its key says, else its collection."""
    default = ChatRules()
    collection = (
        default
        if settings is None
        else ChatRules(settings.system_prompt, settings.earlier_turns, frozenset(settings.known_system_prompts))
    )
    return ChatRules(
        caller.system_prompt or collection.system_prompt,
        caller.earlier_turns or collection.earlier_turns,
        collection.known | caller.known_system_prompts,
    )


def prompt_hash(prompt: str) -> str:
    """Return the hash of a system prompt, as the settings list it; white space at its ends does not count."""
    return "sha256:" + hashlib.sha256(prompt.strip().encode("utf-8", "surrogatepass")).hexdigest()


def is_ordinary(prompt: str) -> bool:
    """Whether a system prompt asks for nothing in particular."""
    words = {word.casefold().replace("\u2019", "'") for word in _WORD.findall(prompt)}
    return len(prompt) <= _LONGEST and words <= _ORDINARY
