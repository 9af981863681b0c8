"""Everyday wordings of a question in one form: "what does X cost" and "how much is X", "what is the reason" and "why".

For the verifier without labelled pairs, which takes nothing but the same words. A rewriting is a rule over the whole
question; what it does not match stays as it was, and the guards judge the rest.
"""

from __future__ import annotations

import functools
import re

from rag.paraphrase.lexicon import other_names
from rag.paraphrase.spelling import american

_OF_ONE = r"(?:my|the|a|an|our|this)"
_TURNED = "turn|switch|sign|send|give|take|set|log|pick|hand|put|plug|shut|back|bring|call"
_WORDS = (
    (r"^(what|where|who|when|how|why)'s\b", r"\1 is"),
    (r"\bwi[- ]fi\b", "wifi"),
    (r"\be[- ]mail(s?)\b", r"email\1"),
    (r"\b(on|off)[- ]line\b", r"\1line"),
    (r"\b(set|log|plug|shut|sign|turn|pick|switch)(?:t|g|n)?ing (up|in|out|on|off|down)\b", r"\1 \2"),
    (r"\bsign[- ]?(in|out)\b", r"log \1"),
    (r"\b(sign|log|check|back|set|follow)[- ](up|in|out|on)\b", r"\1\2"),
    (r"\bsignup\b", "sign up"),  # a phrase of the synonyms
    (r"\b(my|a|the|our|this) booking\b", r"\1 reservation"),
    (r"\bchange the name of (a|an|my|the|our|this) (\w+)", r"rename \1 \2"),
    (r"\b(log|sign) into\b", r"\1in to"),
    (r"\b(?:make|schedule|arrange|set up|get) an appointment\b", "book an appointment"),
    (r"\b(?:make|open|set up|register(?: for)?|sign ?up for) an account\b", "create an account"),
    (r"\bget my money back\b", "get a refund"),
    (r"\bmake (a|an|my|the)\b", r"create \1"),
    (r"\brec(?:ei|ie)ve(s|d?)\b(?! from)|\bobtain(s|ed)?\b", "get"),
    (r"\bin order to\b", "to"),
    (r"\bfill(ing)? (?:in|out)\b", r"fill\1 in"),
    (r"\bhire a(?= (?:car|van|bike|boat|bicycle|scooter|truck)\b)", "rent a"),
    (
        rf"\b({_TURNED})((?: {_OF_ONE})? (?!{_OF_ONE}\b)\w+) (on|off|up|out|back|down|in)"
        r"(?=[ ?.!]*$| (?:for|to|from|at)\b)",
        r"\1 \3\2",
    ),
    (r"\b(user)[- ](names?)\b|\b(pass)[- ](words?|codes?)\b|\b(web)[- ](sites?|pages?)\b", r"\1\2\3\4\5\6"),
)
_WH = r"(?=(?:who|what|which|when|where|why|how|if|whether)\b)"
_POLITE = (
    r"^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|dear (?:team|support|all))(?: there)?\b[ ,.!]*)+",
    r"^(?:please|excuse me|sorry)\b[ ,]*",
    rf"^(?:can|could|would|will) you (?:please |kindly )?(?:tell|show|explain(?: to)?|teach|help)(?: me| us)?,? {_WH}",
    rf"^(?:do you know|does anyone know|any idea|tell me|show me|explain|i wonder|i was wondering),? {_WH}",
    rf"^i(?:'d like| would like| want| need|'m trying)(?: to (?:know|find out|learn|understand))?,? {_WH}",
    r"^(?:(?:a |one )?(?:quick |short |simple )?question|(?:can you )?tell me|i(?:'d| would) like to know)[:,] *",
    r"[ ,.!?]*\b(?:please|thanks|thank you|many thanks)[ .!?]*$",
)
# Where nobody is named, or "you" alone, "your" is anybody's.
_ANYBODY = re.compile(
    r"(?:how (?:to|do you|can you)|where (?:do|can) you find)\b(?!.*\b(?:i|we|me|us|my|our)\b)", re.IGNORECASE
)
_YOURS = re.compile(r"\byour(?=\b|self\b)", re.IGNORECASE)
_PAYMENT = (
    r"(?:a |an |my )?((?:cash|(?:(?:credit|debit|gift|prepaid|bank) )?cards?|visa|mastercard|amex|american express"
    r"|apple pay|google pay|paypal|klarna|cheques?|checks?|bank transfer|direct debit|invoice|bitcoin"
    r"|(?:gift )?vouchers?)\b.*)"
)
_AT = r"(?: (?:for|to|in|at|on|when|if|before|during) .+)?"
_DETERMINER = r"(?:my|our|your|the|a|an|i|we|you|it|this|that|there)"
_COST = (
    (r"^what (?:does|would|will) it cost (.+)$", r"how much does it cost \1"),
    (r"^what is the (fee|charge|fare|rent|deposit|fine|penalty|premium|salary)\b(.*)$", r"how much is the \1\2"),
    (r"^what (?:do|does|would|will) (.+?) cost$", r"how much is \1"),
    (r"^how much (?:do|does|would|will) (.+?) cost$", r"how much is \1"),
    (r"^what(?: is| are) the (?:price|cost)s? (?:of|for) (.+)$", r"how much is \1"),
    (r"^(?:what|how much) do you charge for (.+)$", r"how much is \1"),
    (r"^how much (?:do|would|will) (?:i|we|you) (?:have to |need to )?pay for (.+)$", r"how much is \1"),
    (r"^how (?:much|expensive) (?:is|are) (.+)$", r"how much is \1"),
    (r"^(?:is|are) payments? (.+?) possible$", r"can i pay \1"),
    (rf"^(?:can|could|may) (?:i|we) pay (?:by |with |using |via |in |through )?{_PAYMENT}$", r"do you accept \1"),
    (r"^(?:can|could|may) (?:i|we) (?:pay with|use) (apple pay|google pay|paypal|klarna)$", r"do you accept \1"),
    (rf"^do you take {_PAYMENT}$", r"do you accept \1"),
    (
        r"^(?:do you charge|do i (?:have to )?pay) (?:a |any )?((?:\w+ )*(?:fee|charge|fine|penalty|deposit))\b(.*)$",
        r"is there \1\2",
    ),
    (rf"^(?:is|are) (.+?) accepted({_AT})$", r"do you accept \1\2"),
    (r"^(?:do|does) (?:the|your) (?:(?:room|ticket) )?(?:price|rate|fare)s? include (.+)$", r"is \1 included"),
    (r"^(?:is|are) (.+?) included(?: in the (?:(?:room|ticket) )?(?:price|rate|fare))?$", r"is \1 included"),
)
_REASONS = (
    (rf"^(?:what(?: is| was)|for what) (?:the )?reason (?:that |why |for )?(?={_DETERMINER}\b)(.+)$", r"why \1"),
    (r"^for (?:what|which) reason (.+)$", r"why \1"),
    (r"^how come (?!by\b)(.+)$", r"why \1"),
    (r"^why (?:is|are|was|were) there (.+)$", r"why \1"),
    (r"^why (?:(?:am i|are we) (?:unable|not able) to|can (?:i|we) not) (.+)$", r"why can't i \1"),
)
_STEPS = (
    (r"^(?:the )?steps (?:to|for|of|in) (.+)$", r"how do i \1"),
    (r"^what(?: is| are) the (?:steps|procedure|process|instructions) (?:to|for|of|in) (.+)$", r"how do i \1"),
    (rf"^what is the (?:best |right |easiest )?way (?:to|of) (?!{_DETERMINER}\b)(.+)$", r"how do i \1"),
    (r"^what (?:do|must|should|can) (?:i|we) (?:need to |have to )?do (?:to|in order to) (.+)$", r"how do i \1"),
    (r"^what steps (?:do|must|should|can) (?:i|we) (?:need to |have to )?take to (.+)$", r"how do i \1"),
    (r"^how (?:do|can|would|could|should|may) (?:i|we|you|one) go about (.+)$", r"how do i \1"),
    (r"^(?:is there|are there) (?:a|any) ways? (?:to|of) (.+)$", r"how do i \1"),
    (r"^i(?: need|'d like| would like|'m looking for) (?:some )?help (?:with|to|in) (.+)$", r"how do i \1"),
    (r"^i(?: need|'d like| would like| want|'m trying| am trying| have) to ([^,.;!]+)[,.;!]+ *(?:but |and )?"
     r"how (?:do|can|should|does) (?:i|we|it|that|this)(?: (?:do|go about|work))?(?: (?:it|that|this|so))?$",
     r"how do i \1"),
    (r"^how (?:to|(?:can|could|should|would|may|must) (?:i|we|one)|do(?:es)? (?:we|one)"
     r"|(?:do|can) you(?!.*\b(?:me|us)\b)) (.+)$", r"how do i \1"),
)  # fmt: skip
_NEEDED = "required|necessary|needed|mandatory|compulsory"
_PERMISSIONS = (
    (r"^(?:would it be possible|is it (?:possible|allowed|ok|okay))(?: for me| for us)? to (.+)$", r"can i \1"),
    (r"^(?:may|could) (?:i|we) (.+)$", r"can i \1"),
    (r"^(?:am i|are we) (?:able|allowed|permitted) to (.+)$", r"can i \1"),
    (rf"^(?:is it|am i|are we) (?:{_NEEDED}|obliged|obligatory)(?: for me| for us)? to (.+)$", r"do i have to \1"),
    (r"^(?:(?:must|need) (?:i|we)|do (?:i|we) need to) (.+)$", r"do i have to \1"),
    (rf"^(?:is|are) (?:a |an |any )?(?!it\b)(.+?) (?:{_NEEDED})({_AT})$", r"do i need \1\2"),
    (r"^(?:do|will|would) (?:i|we) (?:need|require) (?:a |an |any )?(.+)$", r"do i need \1"),
    (rf"^(?:what|which) (.+?) (?:is|are) (?:needed|required|necessary)({_AT})$", r"what \1 do i need\2"),
    (rf"^what is (?:needed|required|necessary)({_AT})$", r"what do i need\1"),
    (r"^(?:do|would) (?:you|they) (?:have|offer|provide)(?! to\b)(?: any| an| a)? (.+)$", r"is there \1"),
    (rf"^are (?!{_DETERMINER}\b|these|those|all)(.+?) available({_AT})$", r"is there \1\2"),
    (r"^(?:is|are) there (?:any |an |a )?(.+)$", r"is there \1"),
    (r"^does (the .+?) (?:have|offer)(?: any| an| a) (.+)$", r"is there \2 in \1"),
)  # fmt: skip
_PLACES_AND_TIMES = (
    (r"^how soon (.+)$", r"when \1"),
    (r"^how frequently (.+)$", r"how often \1"),
    (
        r"^what is the (?:maximum|highest|largest) number of (.+?) (?:that )?(i|we|you) (can|may) (.+)$",
        r"how many \1 \3 \2 \4",
    ),
    (r"^how quick(?:ly)? (.+)$", r"how fast \1"),
    (r"^what is the (check-?(?:in|out)|arrival|departure) time\b(.*)$", r"when is \1\2"),
    (r"^what are (?:the )?(?!visiting|working|office|peak|core|credit|rush)(\w+)(?:'s)? hours$", r"when is \1 open"),
    (r"^at (?:what|which) place (.+)$", r"where \1"),
    (r"^where (?:do|can|could|will|would) (?:i|we|you) (?:find|see|view) (.+)$", r"where is \1"),
    (r"^where (?:is|are) (.+?) (?:located|to be found)$", r"where is \1"),
    (r"^what is the (?:address|location) of (.+)$", r"where is \1"),
    (r"^(?:at |on )?(?:what|which) (?:time|date|day) (do|does|did|is|are|will|can) (.+)$", r"when \1 \2"),
    (
        r"^what is the ((?:\w+ )?deadline|(?:due|closing|start|end|expiry|expiration) date)\b(.*)$",
        r"when is the \1\2",
    ),
    (r"^what is the (?:date|time) of (.+)$", r"when is \1"),
    (r"^by when (.+)$", r"until when \1"),
    (r"^what are (?:the |your )?opening hours$", "when are you open"),
    (r"^what are (?:the )?opening hours (?:of|for|at) (.+)$", r"when is \1 open"),
    (r"^what are (?:the )?(.+?)(?:'s|s')? opening hours$", r"when is \1 open"),
    (r"^when is the (.+) open$", r"when is \1 open"),
    (r"^how (?:much time|many (?:days|weeks|hours|minutes)) (do|does|will|did) (.+?) take$", r"how long \1 \2 take"),
    (r"^what is the length of (.+)$", r"how long is \1"),
)
_OTHERS = (
    (r"^(.+?)[,.;!]* (?:so )?what (?:can|should|do|must) (?:i|we) do(?: now)?$", r"what can i do if \1"),
    (r"^(.+?)[,.;!]+ (?:what now|what next|now what)$", r"what can i do if \1"),
    (r"^what (?:(?:can|should|do|must) (?:i|we) do|to do) (?:if|when|in case) (.+)$", r"what can i do if \1"),
    (r"^what if (.+)$", r"what happens if \1"),
    (r"^what (?:happens|(?:will|would) happen) when (.+)$", r"what happens if \1"),
    (r"^what does (?:an? |the )?((?-i:[A-Z][A-Z0-9]+)) mean$", r"what is \1"),
    (r"^what (?:does|do|is|are) (.+?) (?:stand for|short for|mean)$", r"what does \1 mean"),
    (r"^what is (?:the (?:meaning|definition) of|meant by) (.+)$", r"what does \1 mean"),
    (r"^(?:if|whether) ([^,]+?) (is|are|was|were|can|will|has) ([^,]+)$", r"\2 \1 \3"),
    (
        r"^whom? (?:do|should|can|must) (?:i|we) (?:contact|(?:talk|speak|turn|write) to) about (.+)$",
        r"who do i contact about \1",
    ),
)
_FORMS = (*_COST, *_REASONS, *_STEPS, *_PERMISSIONS, *_PLACES_AND_TIMES, *_OTHERS)
_COMPILED = tuple((re.compile(form, re.IGNORECASE), to) for form, to in _FORMS)
_COMPILED_WORDS = tuple((re.compile(form, re.IGNORECASE), to) for form, to in _WORDS)
_PROSE = re.compile(r"(?<![\w`./_-])[a-z]{4,}(?![\w`_/(-]|\.\w)")
_LONGEST = 300  # characters; the patterns take time quadratic in it
_MOST_FORMS = 3  # rewritings of one question, one after the other
_COMPILED_POLITE = tuple(re.compile(form, re.IGNORECASE) for form in _POLITE)


@functools.lru_cache(maxsize=65536)
def everyday_form(question: str) -> str:
    """Return a question in the plain form of its kind; a long one as it is."""
    if len(question) > _LONGEST:
        return question
    text = " ".join(question.replace("\u2019", "'").split())
    for form, to in _COMPILED_WORDS:
        text = form.sub(to, text)
    text = _impolite(_impolite(text))
    text = text.rstrip(" ?.!")
    if "your" in text.lower() and _ANYBODY.match(text):
        text = _YOURS.sub("my", text)
    text = _names().sub(lambda found: other_names()[found.group(1)] + found.group(2), text)
    text = _PROSE.sub(lambda found: american(found.group()), text)
    for _ in range(_MOST_FORMS):
        plain = next((found.expand(to) for form, to in _COMPILED if (found := form.match(text))), text)
        if plain == text:
            break
        text = plain
    return f"{text}?"


def without_courtesy(question: str) -> str:
    """Return a question without greeting, "please" and "could you tell me"; a long one as it is."""
    return question if len(question) > _LONGEST else _impolite(_impolite(" ".join(question.split())))


def _impolite(text: str) -> str:
    for polite in _COMPILED_POLITE:
        text = polite.sub("", text)
    return text


@functools.cache
def _names() -> re.Pattern[str]:
    longest_first = sorted(other_names(), key=len, reverse=True)
    return re.compile(rf"(?<![\w`./_-])({'|'.join(map(re.escape, longest_first))})(s?)(?![\w`_/(-]|\.\w)")
