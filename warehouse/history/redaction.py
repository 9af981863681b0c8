"""Redacts the texts of requests before they are kept.

E-mail addresses, card numbers (by their check digit) and phone numbers are masked. Names and postal addresses have no
recognisable shape; where that is not enough, `drop` removes the texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

_TEXTS = ("question", "comment", "prompt", "answer")

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_CARD = re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)")
_PHONE = re.compile(r"(?<![\w.])(?:\+|\(?0)?\(?\d(?:[\d ()/.-]*\d)(?!\w)")

Mode = Literal["off", "redact", "drop"]


def redact(text: str) -> str:
    """Mask e-mail addresses, card numbers and phone numbers."""
    if "@" in text:
        text = _EMAIL.sub("[e-mail]", text)
    return _PHONE.sub(_phone, _CARD.sub(_card, text))


def _card(match: re.Match[str]) -> str:
    return "[card]" if _check_digit_is_right(_digits(match[0])) else match[0]


def _phone(match: re.Match[str]) -> str:
    # numbers with a prefix count from seven digits on, others from ten
    least = 7 if match[0].lstrip("(").startswith(("+", "0")) else 10
    return "[phone]" if least <= len(_digits(match[0])) <= 16 else match[0]


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _check_digit_is_right(digits: str) -> bool:
    """Whether the last digit is right by Luhn's formula."""
    doubled = [int(d) * (1 + place % 2) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def redactor(mode: Mode) -> Callable[[dict[str, object]], None]:
    """Return a function that redacts the texts of a record in place."""

    def change(record: dict[str, object]) -> None:
        for name in _TEXTS:
            text = record.get(name)
            if isinstance(text, str):
                record[name] = redact(text) if mode == "redact" else None

    return (lambda _record: None) if mode == "off" else change
