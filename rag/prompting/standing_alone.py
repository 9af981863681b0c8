"""Which last turns of a chat mean the same without the earlier ones.

Plain rules for English, each about one way in which a turn needs the others: it points back ("it", "the second one"),
goes on ("and for students?"), compares ("a cheaper account"), names only a side of its matter ("the monthly fee",
"Can students apply?"), answers or corrects ("My number is 12345"), or is about the conversation ("Make it shorter",
"Are you sure?"). A pronoun counts as pointing back only if the turn itself names nothing that it may stand for. In
doubt a turn does not stand alone, which costs a hit and nothing else; so does one that isn't English.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_READ = 1000  # characters of an earlier turn
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")


def _pattern(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE | re.DOTALL)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Courtesies and headings before the question itself: "Thanks! …", "Another question: …".
_OPENING = _pattern(
    r"^(?:(?:(?:ok|okay|alright|all\s+right|great|perfect|good|nice|cool|super|awesome|excellent|fine|got\s+it|i\s+see"
    r"|thanks|thank\s+you|many\s+thanks|thx|hi|hello|hey|yes|no|well|sorry)"
    r"(?:\s+(?:again|there|so\s+much|very\s+much|a\s+lot|that\s+helps|for\s+(?:that|the\s+\w+|your\s+\w+)))?"
    r"|(?:oh,?\s+)?(?:and\s+)?(?:also|by\s+the\s+way|btw|(?:just\s+)?out\s+of\s+curiosity)"
    r"|(?:and\s+)?now\s+(?:for\s+)?something\s+(?:completely\s+)?(?:else|different)"
    r"|(?:and\s+)?(?:(?:a\s+)?new|another|one\s+(?:more|last|other)|(?:a\s+|one\s+)?(?:different|final|last|next))"
    r"\s+(?:question|topic|thing|subject))\s*[-,.!:;\u2013\u2014]+\s*|(?:ok|okay|thanks|hi|hello|hey)\s+)+"
)
# What sounds like pointing back and does not.
_NOT_POINTING = _pattern(
    r"\b(?:is|was|would|will|does|how\s+(?:long|much|often)\s+(?:does|is|will|would))\s+it\s+(?:be\s+)?"
    r"(?:possible|allowed|necessary|free|safe|legal|okay|ok|true|cost|take|matter|make\s+sense)\b(?=.*\b(?:to|that|if)\b)",
    r"\b(?:is|are|was|were)\s+there\b|\bthere\s+(?:is|are)\b",
    r"(?<=\w\s)that(?=\s+(?:i|you|we|they|my|our|was|were|is|are|has|have|had|can|will|do|does|did|don't|doesn't|isn't"
    r"|won't)\s+\w)|(?<=true\s)that\b|(?<=possible\s)that\b",
    r"\b(?:this|these|next|last)\s+(?:years?|months?|weeks?|weekend|morning|afternoon|evening|summer|winter|spring"
    r"|autumn|semester|quarter|days?|working\s+day)\b",
    r"\b(?:to|in|into|from|at|on|with|by)\s+(?:another|other|a\s+different)(?=\s+\w)",
    r"\b(?:some|any|every|no)(?:one|body)\s+else(?:'s)?|\binstead\s+of(?=\s+\w)|\btoo(?=\s+\w)",
    r"(?<!the\s)\b(?:above|below)(?=\s+\w)",
)
_ORDINAL_NAMES = _pattern(
    r"\b(?:first|last)(?=\s+names?\b)|\b(?:first|second|third)[\s-]+(?=(?:class|hand|aid|part)\w*\b)"
)
_POINTING = _words(
    """it its it's itself they them their theirs they're themselves this that these those that's he him his she her
    hers ones same such else other others another instead too also again either neither both former latter above
    below previous previously earlier mentioned said there then so therefore otherwise still anymore yours mine ours
    first second third last next"""
)
_THAT_ONE = _pattern(
    r"\b(?:which|this|that|the|another|each|any|\w+er|\w+est)\s+one\b|\b(?:a|an|the)\s+\w+\s+ones?\b|\bone\W*$",
    r"\bof\s+(?:each|both)\b|\bof\s+(?:the|these|those)\s+(?:two|three|four)\b|\bthe\s+two\b",
    r"\b(?:before|as\s+well)\W*$",
)
_COMPARING = _pattern(
    r"(?<!many\s)\b(?:cheaper|faster|quicker|bigger|smaller|larger|better|worse|newer|older|longer|shorter|higher|lower"
    r"|easier|simpler|sooner|closer|nearer|stronger|lighter|heavier|safer|different|similar|alternative|comparable"
    r"|equivalent)\b(?!.*\b(?:than|from|to|between)\b)"
)
_GOING_ON = _pattern(
    r"(?:and|but|or|nor|so|then|also|plus|because|yes|yeah|no|nope|ok|okay|right|sure|thanks|thank\s+you|well|hm+|actually"
    r"|(?:what|how)\s+about|what\s+if|why\s+not|for|with|without|in|on|at|of|to|from|by|if|when|not|only|just|even"
    r"|more|less|really|seriously|which|continue|go\s+on|explain|elaborate)\b"
)
# Of those, the beginnings that also open a whole question: "When does …", "If I lose my card, …", "Which fees …".
_WHOLE_ALL_THE_SAME = _pattern(
    r"when\s+\S+\s+\S+|which\s+(?!of\b|is\b|are\b|was\b|does\b|do\b|can\b|would\b|should\b)\S+\s+\S+",
    r"(?:explain|for|with|in|on|at|of|to|from|by|if)\b.{20,}",
)
# What is asked of the one who answers, about what was said or how to say it.
_CONVERSING = _pattern(
    r"^(?:(?:can|could|would|will)\s+you\s+|please\s+|kindly\s+|now\s+|just\s+)*(?:translate|summari[sz]e|rephrase"
    r"|reword|rewrite|repeat|shorten|simplify|expand|clarify|elaborate|paraphrase|continue|answer|respond|reply|say"
    r"|format|try|ignore|forget|pretend|act|imagine|remember|(?:write|use|make|give|list|put|turn|show)\s+(?:me\s+)?"
    r"(?:some\s+|a\s+|an\s+|\w+\s+)?(?:it|more|examples?|summary|table|lists?|translation|overview|steps|text|code"
    r"|points|everything))\b",
    r"\btell\s+me\s+more\b|\bmore\s+details?\b",
    r"\byou\s+(?:just\s+|already\s+)?(?:mean|meant|say|mention(?:ed)?|wrote|sure|wrong|right|told|answered|listed"
    r"|suggested|recommended)\b|\byou\s+are\s+(?:wrong|right|sure)\b",
    r"(?:\b(?:did|have|had|were)\s+(?:i|we)\s+(?:just\s+)?|^(?:\w+,\s*)?i\s+)"
    r"(?:ask|asked|meant|say|said|tell|told|talk|talking)\b",
    r"\b(?:the|your)\s+(?:answer|reply|response|explanation|summary|example)s?\b",
    r"\bin\s+(?:\w+\s+)?(?:simple|simpler|other|plain|fewer|short|one|two|three)\s+(?:words?|sentences?|terms?)\b",
    r"\blike\s+i(?:'m|\s+am)\s+(?:five|5|a\s+child)\b|\b(?:bullet\s+points?|step\s+by\s+step|tl;?dr)\b",
)
# A turn without any of these is an answer, a remark or a fragment.
_ASKING = _words(
    """what what's when where which who whom whose why how is are was were am do does did can could may might must
    shall should will would have has had i i'm i've i'd we tell explain need want"""
)
_REQUEST = _pattern(
    r"\?|^(?:what|when|where|which|who|whom|whose|why|how|is|are|am|do|does|did|can|could|may|might|must|shall|should"
    r"|will|would|have|has|had|was|were|please|tell|explain|show|help|define|describe|compare|find|if)\b",
    r"\b(?:what|how|where|want|wants|need|needs|wish|wonder\w*|(?:i'd|would)\s+(?:like|love)|like\s+to"
    r"|interested\s+in|looking\s+for|trying\s+to|can't|cannot|couldn't|unable|don't\s+know|lost|stolen|forgot|forgotten|declined|locked|blocked|broken|crash\w*|fail\w*"
    r"|not\s+work\w*|doesn't|won't)\b",
)
# What makes a statement the report of a trouble.
_TROUBLE = _pattern(
    r"\b(?:not|no|didn't|don't|haven't|hasn't|isn't|aren't|wasn't|wrong|incorrect|missing|disappeared|cancell?ed"
    r"|rejected|refused|revoked|gone|trouble|problems?|issues?|fraudulent|unknown|twice|please\s+help)\b"
)
# Words of other languages and none of English; some questions have an English word by accident ("Was kostet das?").
_FOREIGN = _words(
    """der das dem eine einen und oder ist nicht für auf von zu wie wo wann wer warum ich sie wir bei auch kostet le
    les une et ou pas avec sur je il elle vous que qui quoi comment una por qué cómo cuánto para het een wat hoe
    waar niet voor di che quanto della uma não"""
)
_THIN = _ASKING | _words(
    """the a an my an our you your me us much many long often and or but if to for of in on at by with without from
    about as be been being go i'll don't can't not no any some all here now today just more please"""
)
# The sides that any matter has, its circumstances, and whom it may concern: alone they don't say which matter.
_SIDES = _words(
    """fee fees price prices cost costs charge charges pay pays paid monthly annual yearly daily weekly deadline
    deadlines document documents required requirements bring apply application process procedure steps step discount
    discounts difference differences advantages disadvantages benefits drawbacks option options example examples
    detail details version limit limits maximum minimum number amount date condition conditions rule rules exception
    exceptions happen happens miss change changes work works get gets abroad online offline weekends weekdays sunday
    sundays saturday saturdays monday mondays english german french spanish italian children child kids student
    students pensioners seniors adults companies company businesses employees members families family groups
    teachers foreigners tourists wife husband partner minors people call contact use choose select pick take click
    press enter two three four five exactly usually normally really roughly free trial money back refunded code see"""
)
# "the price" and "the monthly fee", without of what.
_SIDE = rf"(?:{'|'.join(sorted(_SIDES))})"
_THE_SIDE = _pattern(
    rf"\bthe\s+(?:{_SIDE}\s+)*{_SIDE}\b(?!\s+(?:\w+\s+){{0,2}}(?:of|for|to|in|on|between|that|i|you|we)\b)",
    r"\bincluded\W*$",
)
_DEFINITION = _pattern(r"(?:what(?:'s|\s+is|\s+are|\s+does)|who\s+is|define|explain)\s+(?!the\b|your\b|my\b)")
_CLAUSE = _pattern(r"(?=[,.;:!?]|\b(?:if|when|after|before|once|until|and|but|because|while|since|unless)\b)")
_NAMED = _pattern(r"\b(?:my|our|an?)\s+\w+")
_ROLE = _pattern(r"\b(?:i'm|i\s+am|we're|we\s+are|as)\s+an?\s+\w+")
# A pronoun after a verb of its own clause, or before one that has no auxiliary in front: "reset it", "they don't fit".
_REFERRING = _pattern(
    r"(?<!\bis)(?<!\bare)(?<!\bwas)(?<!\bdo)(?<!\bdoes)(?<!\bdid)(?<!\bwill)(?<!\bwould)(?<!\bcan)(?<!\bhas)(?<!\bhave)"
    r"\s+(?:it|them|they|their|its|one)\b"
)
# Earlier turns that hold for all later ones: how to answer, or whom.
_I = r"(?:^|[.,;:!?\n]\s*|\b(?:and|but|because|since|as|hi|hello|hey|so|well|say|that)\s+)(?:please\s+)?(?:i|we)"
_LASTING = _pattern(
    r"^(?:please\s+|now\s+)*(?:answer|respond|reply|speak|talk|write|translate|pretend|act|imagine|use|be|keep|ignore"
    r"|disregard|forget(?!\s+(?:it|that)\b)|rewrite|rephrase|reword|paraphrase|proofread|classify|grade|score|count|(?:quiz|test)\s+me"
    r"|(?:don't|do\s+not|never)\s+(?!mind\b|worry\b|know\b|understand\b|see\b|work\b)\w+"
    r"|no\s+(?!problem|worries)\w+,?\s+please|you(?:'re|\s+are)\s+(?:now\s+)?(?:an?|my)\s)",
    r"^(?:can|could|would|will)\s+you\s+(?:please\s+)?(?:answer|respond|reply|speak|talk|translate|pretend|act|rewrite"
    r"|rephrase|proofread)\b",
    r"\bin\s+(?:(?:all|each|every)\s+(?:of\s+)?)?your\s+(?:answers?|repl(?:y|ies)|responses?)\b|\beverything\s+in\b",
    r"\b(?:sentence|phrase|text|word|question|message|line|what)s?\s+(?:that\s+)?(?:i|we)\s+(?:send|type|paste|write|say)\b",
    r"\bi(?:'ll|\s+will)\s+(?:send|paste|type|give)\b|\bsay\s+(?:this|that|it)\b|\b(?:need|want)\s+an?\s+translation\b",
    r"\brole-?play|\blet'?s\s+(?:play|pretend)\b|\b(?:in|of)\s+every\s+(?:answer|reply|response)\b",
    r"\bexplain\s+(?:everything|all|things)\b|\blike\s+i(?:'m|\s+am)\b|\bfrom\s+now\s+on\b",
    r"\b(?:assume|suppose)\s+(?:that|i|we)\b|\balways\s+(?:answer|respond|reply|use|write)\b",
    rf"{_I}(?:'m|'re|\s+am|\s+are)\s+(?:an?|from|in|based|under|over|already|on|\d+)\b(?!\s+market\b)",
    rf"{_I}(?:'m|'re|\s+am|\s+are)\s+(?:travell?|liv|study|work|us|runn?|fly|mov|stay|visit)ing\b",
    rf"{_I}\s+(?:only\s+|just\s+)?(?:live|study|work|use|own|come\s+from|speak|(?<=only\s)understand)\b",
    rf"{_I}(?:'ve|\s+have)(?:\s+got)?\s+(?:an?|two|three|the)\s+(?!(?:\w+\s+)?(?:question|problem|issue|fee|charge"
    r"|transaction|transfer|payment|refund|error|withdrawal)s?\b)",
    r"(?:^|[.,;:!?\n]\s*|\band\s+)(?:my|our)\s+(?:(?:plan|contract|tariff|country|age|model|version|device|browser"
    r"|language|company)\s+is|(?!question|problem|issue|concern)(?:\w+\s+)?\w+\s+is\s+an?)\b",
)


def question_of(turn: str) -> str:
    """Return a turn without the courtesies before its question."""
    text = " ".join(turn.split())
    return _OPENING.sub("", text) or text


def stands_alone(turn: str, earlier: Iterable[str] = ()) -> bool:
    """Whether the last turn of a chat means the same without the earlier ones of its user; in doubt it does not."""
    text = question_of(turn).replace("\u2019", "'")
    if any(_LASTING.search(each[:_READ].replace("\u2019", "'")) for each in earlier):
        return False
    request = _REQUEST.search(text)
    if (_GOING_ON.match(text) and not _WHOLE_ALL_THE_SAME.match(text)) or not (request or _TROUBLE.search(text)):
        return False
    own = _without_what_it_names(text)
    if _THAT_ONE.search(own) or any(pattern.search(text) for pattern in (_COMPARING, _CONVERSING, _THE_SIDE)):
        return False
    words = _words_in(_NOT_POINTING.sub(" ", _ORDINAL_NAMES.sub(" ", own)))
    asking = _ASKING.intersection(_words_in(text)) or text.casefold().startswith("please ")
    if not (asking or request is None) or _FOREIGN.intersection(words) or _POINTING.intersection(words):
        return False
    subjects = [word for word in words if word not in _THIN]
    matters = [word for word in subjects if word not in _SIDES]
    if request is None:
        return len(matters) > 1
    return (len(subjects) > 1 and bool(matters)) or (bool(subjects) and _DEFINITION.match(text) is not None)


def is_english(text: str) -> bool:
    """Whether a question is in English, so that these rules can judge it."""
    words = _words_in(text)
    return bool(_ASKING.intersection(words)) and not _FOREIGN.intersection(words)


def words_of_its_own(text: str) -> set[str]:
    """Return the words of a turn that say something."""
    return set(_words_in(text)) - _THIN - _POINTING


def _words_in(text: str) -> list[str]:
    return [word.casefold().replace("\u2019", "'") for word in _WORD.findall(text)]


def _without_what_it_names(text: str) -> str:
    """Drop the pronouns of later clauses if an earlier one names what they may stand for ("my card … block it")."""
    kept, named = [], False
    for clause in _CLAUSE.split(text):
        kept.append(_REFERRING.sub(" ", clause) if named else clause)
        named = named or _NAMED.search(_ROLE.sub(" ", clause)) is not None
    return "".join(kept)
