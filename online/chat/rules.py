"""What the system prompt and the earlier turns of a chat mean, by the settings of its key and its collection.

A prepared answer knows nothing of a system prompt. Most of them ask for nothing that it lacks, but one may ask for
JSON, another language or a translation, and nobody can tell that by rules. So by default a prompt counts as satisfied
only if its hash is listed, if a popular framework ships it (`online.chat.stock_prompts`), or if it is made of the words
of "You are a helpful assistant." alone, which are too few to ask for anything in particular.

Dates count for nothing in a hash, since many prompts say which day it is.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from online.chat.stock_prompts import STOCK_PROMPTS
from rag.collection_settings import CollectionSettings, EarlierTurns, SystemPrompt

if TYPE_CHECKING:
    from online.http.authentication import Caller

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_ORDINARY = frozenset(
    """a an the all any you are you're i am you'll your is be please always and as in to of with for who that can will
    by best very most ai assistant assistants chatbot bot agent model chat support customer service help desk
    helpdesk virtual digital personal helpful friendly polite kind courteous honest harmless truthful knowledgeable
    patient professional respectful concise brief clear accurate direct expert smart intelligent great good nice
    useful trustworthy reliable informative careful short plain answer answers answering respond response responses
    reply replies assist assists assisting helps helping provide provides give gives question questions query
    queries user user's users people person customer customer's customers them their me my our us briefly concisely
    clearly politely accurately honestly truthfully helpfully kindly professionally patiently directly today ability
    way possible manner tone one sentence sentences""".split()
)
_LONGEST = 400  # characters of a prompt that may be found ordinary
# The places of "question" and "user" in an ordinary prompt; elsewhere they may be what is to be written or played.
_OF_QUESTIONS = re.compile(
    r"\b(?:answer(?:s|ing)?|respond(?:s|ing)?\s+to|reply(?:ing)?\s+to|help(?:s|ing)?|assist(?:s|ing)?|support(?:s|ing)?)"
    r"(?:\s+(?:with|the|all|any|my|your|our|their|them|a|user's|users?|customer's|customers?|people|person"
    r"|questions?|quer(?:y|ies))\b)+|\bcustomer\s+(?:support|service)\b",
    re.IGNORECASE,
)
_SPOKEN_OF = frozenset(
    "question questions query queries user user's users person customer customer's customers".split()
)
_MARKS = re.compile(r"[\s.,;!'\u2019\"()-]*")
_DATED = 10_000  # characters of a prompt in which dates are looked for
_MONTH = r"(?:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?(?:\d{4}-\d\d-\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4}"
    rf"|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}|\d{{1,2}}\.?\s+{_MONTH}\s+\d{{4}})"
    r"(?:(?:T|,?\s+(?:at\s+)?)\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?:\s?[ap]m)?(?:\s?(?:Z|UTC|GMT)|[+-]\d\d:?\d\d)?)?",
    re.IGNORECASE,
)
# "Today is 2026-11-26", "Current date: …"
_TODAY = re.compile(
    r"\b(?:(?:the\s+)?(?:current|today['\u2019]s)\s+(?:date|time)(?:\s+and\s+time)?|today)\s*(?::|is:?)?\s*"
    + _DATE.pattern,
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ChatRules:
    """What the system prompt and the earlier turns of a chat mean; `known` are hashes of system prompts."""

    system_prompt: SystemPrompt = "pin"
    earlier_turns: EarlierTurns = "last"
    known: frozenset[str] = frozenset()

    def admits(self, prompt: str) -> bool:
        """Whether a chat with this system prompt may be looked up."""
        if self.system_prompt == "pin":
            hashes = {prompt_hash(prompt), _hashed(prompt)}  # those listed by earlier versions have their dates
            return bool(hashes & self.known) or bool(hashes & _STOCK) or is_ordinary(prompt)
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
    """Return the hash of a system prompt, as the settings list it; white space at its ends and dates don't count."""
    return _hashed(_DATE.sub("<date>", prompt[:_DATED]) + prompt[_DATED:])


def _hashed(prompt: str) -> str:
    return "sha256:" + hashlib.sha256(prompt.strip().encode("utf-8", "surrogatepass")).hexdigest()


def is_ordinary(prompt: str) -> bool:
    """Whether a system prompt asks for nothing in particular."""
    if len(prompt) > _LONGEST:
        return False
    prompt = _TODAY.sub(" ", prompt)
    words = _words_in(prompt)
    if _MARKS.fullmatch(_WORD.sub("", prompt)) is None or not words <= _ORDINARY:
        return False
    return not _words_in(_OF_QUESTIONS.sub(" ", prompt)) & _SPOKEN_OF


def _words_in(text: str) -> set[str]:
    return {word.casefold().replace("\u2019", "'") for word in _WORD.findall(text)}


_STOCK = frozenset(prompt_hash(each) for each in STOCK_PROMPTS)
