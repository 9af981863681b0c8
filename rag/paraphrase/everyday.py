"""Everyday wordings of a question in one form: "what does X cost" and "how much is X", "what is the reason" and "why".

For the verifier without labelled pairs, which takes nothing but the same words. A rewriting is a rule over the whole
question; what it does not match stays as it was, and the guards judge the rest.
"""

from __future__ import annotations

import functools
import re

_WORDS = (
    (r"\bwi[- ]fi\b", "wifi"),
    (r"\be[- ]mail(s?)\b", r"email\1"),
    (r"\b(on|off)[- ]line\b", r"\1line"),
    (r"\b(sign|log|check|back|set|follow)[- ](up|in|out|on)\b", r"\1\2"),
    (r"\b(user)[- ](names?)\b|\b(pass)[- ](words?|codes?)\b|\b(web)[- ](sites?|pages?)\b", r"\1\2\3\4\5\6"),
)
_WH = r"(?=(?:who|what|which|when|where|why|how|if|whether)\b)"
_POLITE = (
    r"^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|dear (?:team|support|all))(?: there)?\b[ ,.!]*)+",
    r"^(?:please|excuse me|sorry)\b[ ,]*",
    rf"^(?:can|could|would|will) you (?:please |kindly )?(?:tell|show|explain(?: to)?|teach|help)(?: me| us)?,? {_WH}",
    rf"^(?:do you know|does anyone know|tell me|show me|explain|i wonder|i was wondering),? {_WH}",
    rf"^i(?:'d like| would like| want| need|'m trying)(?: to (?:know|find out|learn|understand))?,? {_WH}",
    r"^(?:(?:a |one )?(?:quick |short |simple )?question|(?:can you )?tell me|i(?:'d| would) like to know)[:,] *",
    r"[ ,.!?]*\b(?:please|thanks|thank you|many thanks)[ .!?]*$",
)
# Where nobody is named, or "you" alone, "your" is anybody's.
_ANYBODY = re.compile(
    r"(?:how (?:to|do you|can you)|where (?:do|can) you find)\b(?!.*\b(?:i|we|me|us|my|our)\b)", re.IGNORECASE
)
_YOURS = re.compile(r"\byour(?=\b|self\b)", re.IGNORECASE)
_DETERMINER = r"(?:my|our|your|the|a|an|i|we|you|it|this|that|there)"
_FORMS = (
    (r"^what (?:do|does|would|will) (.+?) cost$", r"how much is \1"),
    (r"^how much (?:do|does|would|will) (.+?) cost$", r"how much is \1"),
    (r"^what(?:'s| is| are) the (?:price|cost)s? (?:of|for) (.+)$", r"how much is \1"),
    (r"^how much (?:do|would|will) (?:i|we|you) (?:have to |need to )?pay for (.+)$", r"how much is \1"),
    (r"^how much (?:is|are) (.+)$", r"how much is \1"),
    (rf"^(?:what(?:'s| is| was)|for what) (?:the )?reason (?:that |why |for )?(?={_DETERMINER}\b)(.+)$", r"why \1"),
    (r"^how come (?!by\b)(.+)$", r"why \1"),
    (r"^why (?:is|are|was|were) there (.+)$", r"why \1"),
    (r"^what(?:'s| is| are) the (?:steps|procedure|process|instructions) (?:to|for|of|in) (.+)$", r"how do i \1"),
    (rf"^what(?:'s| is) the (?:best |right |easiest )?way (?:to|of) (?!{_DETERMINER}\b)(.+)$", r"how do i \1"),
    (r"^what (?:do|must|should|can) (?:i|we) (?:need to |have to )?do (?:to|in order to) (.+)$", r"how do i \1"),
    (r"^how (?:do|can|would|could|should|may) (?:i|we|you|one) go about (.+)$", r"how do i \1"),
    (r"^(?:is there|are there) (?:a|any) ways? (?:to|of) (.+)$", r"how do i \1"),
    (r"^i(?: need|'d like| would like|'m looking for) (?:some )?help (?:with|to|in) (.+)$", r"how do i \1"),
    (r"^how (?:to|can i|could i|can we|do we|can one|(?:do|can) you(?!.*\b(?:me|us)\b)) (.+)$", r"how do i \1"),
    (r"^(?:is it possible|is it allowed)(?: for me)? to (.+)$", r"can i \1"),
    (r"^(?:am i|are we) (?:able|allowed|permitted) to (.+)$", r"can i \1"),
    (r"^at (?:what|which) place (.+)$", r"where \1"),
    (r"^where (?:do|can|could|will|would) (?:i|we|you) find (.+)$", r"where is \1"),
    (r"^where (?:is|are) (.+?) (?:located|to be found)$", r"where is \1"),
    (r"^(?:at |on )?(?:what|which) (?:time|date|day) (do|does|did|is|are|will|can) (.+)$", r"when \1 \2"),
    (r"^how (?:much time|many (?:days|weeks|hours|minutes)) (do|does|will|did) (.+?) take$", r"how long \1 \2 take"),
    (r"^(.+?),? what (?:can|should|do|must) (?:i|we) do$", r"what can i do if \1"),
)
_COMPILED = tuple((re.compile(form, re.IGNORECASE), to) for form, to in _FORMS)
_COMPILED_WORDS = tuple((re.compile(form, re.IGNORECASE), to) for form, to in _WORDS)
_COMPILED_POLITE = tuple(re.compile(form, re.IGNORECASE) for form in _POLITE)


@functools.lru_cache(maxsize=65536)
def everyday_form(question: str) -> str:
    """Return a question in the plain form of its kind."""
    text = " ".join(question.replace("\u2019", "'").split())
    for form, to in _COMPILED_WORDS:
        text = form.sub(to, text)
    for polite in (*_COMPILED_POLITE, *_COMPILED_POLITE):
        text = polite.sub("", text)
    text = text.rstrip(" ?.!")
    if "your" in text.lower() and _ANYBODY.match(text):
        text = _YOURS.sub("my", text)
    for form, to in _COMPILED:
        if found := form.match(text):
            return f"{found.expand(to)}?"
    return f"{text}?"
