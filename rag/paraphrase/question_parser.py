"""Parses a question into tokens: content words, names, numbers, negations, and the preposition governing each word.

It is a hand-written tokenizer, not a grammar: a part-of-speech tagger would cost more than the whole semantic hit,
and questions are short. Parsing takes about 50 µs and is cached, since anticipated questions recur.
"""

from __future__ import annotations

import functools
import re
import unicodedata

from rag.paraphrase.lexicon import IRREGULAR_FORMS, lexicon, stem, word_class
from rag.paraphrase.parsed_question import ParsedQuestion, Token

_TOKEN = re.compile(
    r"[a-z]\.(?:[a-z]\.)+(?:[a-z]\b)?|\.net\b|[a-z]+\.js\b|[cf]#|[a-z]\+\+"
    r"|\d+(?:[.,:]\d+)*|[^\W\d_]+(?:['\u2019][^\W\d_]+)?|[$\u20ac\u00a3\u00a5\u20b9%\u00b0]|[+*=<>^,;]|(?<=\s)-(?=[\s\d])",
    re.IGNORECASE,
)
_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
).split()
_NUMBER_WORDS = {word: str(n) for n, word in enumerate(_WORDS) if word != "one"} | {
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80",
    "ninety": "90", "twice": "2", "thrice": "3", "double": "2", "triple": "3", "half": "0.5", "once": "1",
}  # fmt: skip
_ORDINALS = {w: str(n) if n > 1 else w for n, w in enumerate(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), 1)}  # fmt: skip
_SCALES = {"hundred": 1e2, "thousand": 1e3, "k": 1e3, "lakh": 1e5, "lakhs": 1e5, "million": 1e6, "millions": 1e6,
           "mn": 1e6, "crore": 1e7, "crores": 1e7, "billion": 1e9, "bn": 1e9, "trillion": 1e12}  # fmt: skip
_ROMANS = {"ii": 2, "iii": 3, "iv": 4, "vi": 6, "vii": 7, "viii": 8, "ix": 9, "xi": 11, "xii": 12, "xiii": 13,
           "xiv": 14, "xv": 15, "xvi": 16, "xx": 20, "i": 1, "v": 5, "x": 10}  # fmt: skip
_CLEAR_ROMANS = frozenset(("ii", "iii", "vii", "viii", "xii", "xiii", "xiv", "xvi"))
_MONEY = frozenset("$ \u20ac \u00a3 \u00a5 \u20b9 % \u00b0".split())
_TIMES = frozenset("a an per each every daily weekly monthly or and".split())
_NUMBERED = frozenset(
    ("war", "type", "part", "phase", "act", "class", "chapter", "volume", "book", "stage", "level", "grade",
     "schedule", "title", "article", "section", "tier", "round", "season", "episode", "step", "version")
)  # fmt: skip
_LOWER_IN_TITLES = frozenset("a an the of in on to for and or with by at from".split())
_CANNOT = re.compile(r"\bcan['\s]?(?:no)?t\b|\bcannot\b", re.I)
_CONTRACTIONS = (
    (re.compile(r"\bwon't\b", re.I), "will not"),
    (re.compile(r"\bain't\b", re.I), "is not"),
    (re.compile(r"n't\b", re.I), " not"),
    (re.compile(r"'(?:s|re|ve|ll|d|m)\b|(?<=s)'(?=\s|$)", re.I), ""),
)
_PHRASES = (
    (re.compile(r"\bor not\b", re.I), ""),
    (re.compile(r"\bWW ?(I{1,2}\b|[12]\b)"), r"World War \1"),
    (re.compile(r"\bfirst world war\b", re.I), "World War 1"),
    (re.compile(r"\bsecond world war\b", re.I), "World War 2"),
)
_NUMBERS = (
    (re.compile(r"\b1st\b"), "first"),
    (re.compile(r"(?<=\d)a\b"), " A"),  # 7a is not 7: the letter, no article
    (re.compile(r"(?<=\d)(?:st|nd|rd|th)\b"), ""),
    (re.compile(r"(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"), " "),
)
_BARE_CONTRACTIONS = re.compile(r"\b(do|does|did|is|are|was|were|has|have|had|would|could|should|ca|wo)nt\b", re.I)


@functools.lru_cache(maxsize=65536)
def parse(question: str) -> ParsedQuestion:
    """Parse a question; results are cached."""
    text = question
    if not text.isascii():
        text = re.sub(r"\b([a-z]{1,2})\u00b2", r"square \1", text)
        text = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
    text = text.strip()
    raw = _join_phrases(_split(_expand(text)))
    shouted = _mostly_capitals([word for word, _ in raw])
    tokens, numbers = _tokens(raw, shouted)
    words = tuple(token.word for token in tokens)
    return ParsedQuestion(
        tokens=tokens,
        content=tuple(token for token in tokens if token.content),
        words=words,
        numbers=tuple(sorted(numbers)),
        negations=_negations(words),
        asks=_asks(tokens),
        characters=" " + " ".join(words) + " ",
        written=question,
    )


def _expand(text: str) -> str:
    text = _CANNOT.sub("can not", text)
    if "'" in text:
        for contraction, to in _CONTRACTIONS:
            text = contraction.sub(to, text)
    text = _BARE_CONTRACTIONS.sub(r"\1 not", text)
    lower = text.lower()
    if "or not" in lower or "world war" in lower or "ww" in lower:
        for phrase, to in _PHRASES:
            text = phrase.sub(to, text)
    if any(map(str.isdigit, text)):
        for number, to in _NUMBERS:
            text = number.sub(to, text)
    return text


def _split(text: str) -> list[tuple[str, int]]:
    """Return the tokens as written, each with 1 if it opens a sentence (its capital means nothing) or 0."""
    found: list[tuple[str, int]] = []
    opening, end = 1, 0
    for match in _TOKEN.finditer(text):
        if any(mark in text[end : match.start()] for mark in ".?!:\"'(") and found:
            opening = 1
        found.append((match.group(), opening))
        opening, end = 0, match.end()
    return found


def _join_phrases(raw: list[tuple[str, int]]) -> list[tuple[str, int]]:
    phrases, joined, i = lexicon().phrases, [], 0
    lower = [word.lower() for word, _ in raw]
    while i < len(raw):
        parts = next((p for p in phrases.get(lower[i], ()) if tuple(lower[i : i + len(p)]) == p), None)
        if parts is None:
            joined.append(raw[i])
            i += 1
        else:
            joined.append(("_".join(word for word, _ in raw[i : i + len(parts)]), raw[i][1]))
            i += len(parts)
    return joined


def _mostly_capitals(words: list[str]) -> bool:
    """Whether the words are capitalised as in a title, so that capitals don't mark names."""
    later = [word for word in words[1:] if word[0].isalpha()]
    lower = [word for word in later if word[0].islower() and word not in _LOWER_IN_TITLES]
    return len(later) > 2 and not lower and sum(word[0].isupper() for word in later) > len(later) / 2


def _tokens(raw: list[tuple[str, int]], shouted: bool) -> tuple[tuple[Token, ...], list[str]]:
    classes = lexicon().word_classes
    tokens: list[Token] = []
    numbers: list[str] = []
    preposition = ""
    for i, (written, opening) in enumerate(raw):
        word = _canonical(written, raw[i - 1][0] if i else "", shouted)
        if word in (",", ";"):
            preposition = ""
            continue
        number = _number(written, word, raw, i)
        if number:
            numbers.append(number)
            word = "#" + number
        elif word in _SCALES and tokens and numbers and tokens[-1].word == "#" + numbers[-1]:
            before = numbers.pop()
            scaled = _plain(float(before) * _SCALES[word]) if before.replace(".", "", 1).isdigit() else before
            numbers.append(scaled)
            word = "#" + scaled
            tokens.pop()
        if word in classes["preposition"]:
            out_of = word == "of" and i > 0 and raw[i - 1][0].lower() == "out"
            preposition = "out of" if out_of else "to" if word in ("into", "onto", "toward", "towards") else word
        letter = len(word) == 1 and written.isupper() and written != "I" and not opening
        noun = word in classes["homograph"] and i > 0 and raw[i - 1][0].lower() in ("a", "an", "the")
        content = word.startswith("#") or word not in classes["function"] or letter or noun
        capital = written[0].isupper() and not opening and not shouted and content and not number
        tokens.append(Token(word, _stem(word), content, capital, preposition if content else "", bool(opening)))
        if word in classes["polar"] or word in ("if", "when", "while", "because", "that", "which", "who"):
            preposition = ""
    return tuple(tokens), numbers


def _canonical(written: str, before: str, shouted: bool) -> str:
    if written == "US" and not shouted:
        return "usa"
    if written == "IT" and not shouted:
        return "information_technology"
    if written == "May" and before and not shouted:
        return "may_month"
    if len(written) == 1 and written.isupper() and written != "I" and before and not shouted:
        return "letter_a" if written == "A" else written.lower()
    lower = written.lower()
    if lower.endswith(".") and "." in lower[:-1]:
        lower = lower.replace(".", "")
    if lower in ("us", "usa") and "." in written:
        return "usa"
    lower = "%" if lower in ("percent", "percentage") else lower
    return IRREGULAR_FORMS.get(lower, lower)


def _number(written: str, word: str, raw: list[tuple[str, int]], i: int) -> str | None:
    before = raw[i - 1][0].lower() if i else ""
    if written[0].isdigit():
        return _digits(re.sub(r"(?<=\d),(?=\d{3}\b)", "", written), _is_amount(raw, i))
    if word == "once" and i + 1 < len(raw) and raw[i + 1][0].lower() not in _TIMES:
        return None  # "once I have paid" holds no number
    if word in _NUMBER_WORDS:
        return _NUMBER_WORDS[word]
    if word in _ORDINALS and not (word == "second" and before in ("a", "per", "each", "every", "one")):
        return _ORDINALS[word]
    if word in _CLEAR_ROMANS or (word in _ROMANS and before in _NUMBERED and _is_numeral(written, raw[i - 1][0])):
        return str(_ROMANS[word])
    return None


def _digits(text: str, is_amount: bool) -> str:
    """Return a number in canonical form; one with a point that is no amount is a name, and 3.1 is not 3.10."""
    is_name = "." in text and not is_amount
    return text if is_name or not re.fullmatch(r"\d{1,15}(\.\d+)?", text) else _plain(float(text))


def _is_amount(raw: list[tuple[str, int]], i: int) -> bool:
    """Whether a number with a point is an amount: of money, of a unit, or scaled."""
    before = raw[i - 1][0] if i else ""
    after = raw[i + 1][0].lower() if i + 1 < len(raw) else ""
    units = (*lexicon().kinds.get(after, ()), *lexicon().kinds.get(stem(after), ()))
    return before in _MONEY or after in _MONEY or after in _SCALES or any(kind.startswith("unit") for kind, _ in units)


def _is_numeral(written: str, before: str) -> bool:
    """Whether a Roman numeral is meant, not a letter or pronoun: "Part I", but not "the version I have"."""
    return written.isupper() and (written != "I" or before[0].isupper() or before in ("war", "type", "phase"))


def _plain(number: float) -> str:
    return f"{number:.9f}".rstrip("0").rstrip(".")


def _stem(word: str) -> str:
    return word if word.startswith("#") or "_" in word else stem(word)


def _negations(words: tuple[str, ...]) -> int:
    return sum(word in word_class("negation") for word in words)


_ASKS = {
    ("how", "much"): "how much", ("how", "many"): "how many", ("how", "long"): "how long", ("how", "old"): "how old",
    ("how", "often"): "how often", ("how", "far"): "how far", ("how", "come"): "why", ("what", "time"): "when",
    ("how", "tall"): "how tall", ("how", "big"): "how big", ("how", "fast"): "how fast", ("how", "deep"): "how deep",
    ("what", "date"): "when", ("what", "day"): "when", ("what", "year"): "when", ("what", "reason"): "why",
    ("how", "frequently"): "how often", ("how", "soon"): "when", ("how", "early"): "when",
    ("what", "place"): "where", ("what", "person"): "who", ("what", "way"): "how",
}  # fmt: skip


SPANS = frozenset("time seconds minutes hours days weeks months years".split())


def _asks(tokens: tuple[Token, ...]) -> str:
    """Return what is asked for: "who", "when", "how many", "what", "polar" (yes or no), or "" for none."""
    words = [token.word for token in tokens]
    for i, word in enumerate(words):
        if word in ("who", "whom", "whose", "when", "where", "why", "how", "what", "which"):
            if word in ("when", "where", "who") and i > 2 and not tokens[i].opens:
                continue  # in mid-sentence these mostly join clauses
            pair = _ASKS.get((word, words[i + 1])) if i + 1 < len(words) else None
            if pair in ("how many", "how much") and i + 2 < len(words) and words[i + 2] in SPANS:
                pair = "how long"
            return pair or {"whom": "who", "which": "what"}.get(word, word)
    if words and words[0] in word_class("polar"):
        return "polar"
    return ""
