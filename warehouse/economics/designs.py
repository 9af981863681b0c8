"""What each design costs a month and how many GPUs it takes: formulas that a reader can follow with a calculator.

<<<<<<< HEAD
A month has 730 hours and a day 24, of which `peak_hours` are at `peak_factor` times the mean. docs/decision.md has two
companies computed by hand. How long visitors wait is simulated (`warehouse.economics.latency`), and may ask for more
replicas than the formulas.
=======
A month has 730 hours and a day 24, of which `peak_hours` are at `peak_factor` times the mean. `docs/decision.md` has
two companies computed by hand. How long visitors wait is simulated (`warehouse.economics.latency`), and may ask for
more replicas than the formulas.
>>>>>>> b2abea6 (Add decide: cost, GPUs, latency and break-even of five designs, from a file or the history)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from warehouse.economics.assumptions import DEFAULTS, DecideSettings

MONTH_HOURS = 730.0
_DAYS = MONTH_HOURS / 24

Name = Literal["monolith", "microservices", "window, live", "window, hosted", "hosted"]
DESIGNS: Mapping[Name, str] = {
    "monolith": "service and model in one process on GPU machines that are always on; everything is answered live",
    "microservices": "a service without a GPU, and a model whose replicas follow the hour; everything is answered live",
    "window, live": "answers prepared in a batch window; misses go to a model whose replicas follow the hour",
    "window, hosted": "answers prepared in a batch window; misses go to a hosted API",
    "hosted": "answers prepared in a hosted API's batch; misses go to the same API; no GPU",
}


@dataclass(frozen=True)
class Case:
    """The assumptions as plain numbers, after growth; `speed` is how much slower a GPU is than measured."""

    given: DecideSettings
    requests: float
    hit_rate: float
    prompt_tokens: float
    answer_tokens: float
    anticipated: float
    batch_tokens_a_second: float
    size: float = 1.0
    hosted_price: float = 1.0

    @property
    def gpus(self) -> int:
        """GPUs of a replica: as many as the weights need."""
        return max(1, math.ceil(self.given.model_gb * self.size / (self.given.gpu_gb * self.given.weights_share)))

    @property
    def speed(self) -> float:
        """Speed of a replica beside the measured one: a larger model is slower, more GPUs are faster."""
        measured = math.ceil(self.given.model_gb / (self.given.gpu_gb * self.given.weights_share))
        return self.gpus / measured / self.size

    @property
    def mean_rate(self) -> float:
        """Questions a second on average."""
        return self.requests / MONTH_HOURS / 3600

    @property
    def peak_rate(self) -> float:
        """Questions a second in a peak hour."""
        return self.mean_rate * self.given.peak_factor

    @property
    def quiet_rate(self) -> float:
        """Questions a second in the other hours."""
        hours = self.given.peak_hours
        return (24 * self.mean_rate - hours * self.peak_rate) / (24 - hours) if hours < 24 else self.peak_rate

    def replicas(self, rate: float) -> int:
        """Return the replicas of the model for so many live answers a second."""
        each = self.given.full_tokens_a_second * self.speed * self.given.utilisation / self.answer_tokens
        return max(1, math.ceil(rate / each - 1e-9))


@dataclass(frozen=True)
class Cost:
    """The parts of a month's cost, by name; `replicas` answer live at the peak, `gpus` are all at the peak."""

    parts: Mapping[str, float]
    replicas: int
    gpus: int

    @property
    def total(self) -> float:
        """The cost of a month."""
        return sum(self.parts.values())


def case(given: DecideSettings) -> Case:
    """Return the assumptions, with the defaults where nothing is set."""
    values = {name: default if getattr(given, name) is None else float(getattr(given, name))
              for name, default in DEFAULTS.items()}  # fmt: skip
    return Case(
        given,
        values["requests_a_month"],
        values["hit_rate"],
        values["prompt_tokens"],
        values["answer_tokens"],
        values["anticipated"],
        values["batch_tokens_a_second"],
    )


def with_more_traffic(base: Case, times: float) -> Case:
    """Return a case with so many times the questions; as many are prepared, and as many hit."""
    return replace(base, requests=base.requests * times)


def with_larger_model(base: Case, times: float, hosted_price: float) -> Case:
    """Return a case with a model so many times larger; a hosted one of that size costs more."""
    return replace(base, size=base.size * times, hosted_price=base.hosted_price * hosted_price)


def is_live(name: Name) -> bool:
    """Whether a design answers with a model of its own while visitors wait."""
    return name in ("monolith", "microservices", "window, live")


def live_share(name: Name, each: Case) -> float:
    """Return the share of the questions that is not answered from prepared answers."""
    return 1.0 if name in ("monolith", "microservices") else 1 - each.hit_rate


def cost(name: Name, each: Case, more_replicas: int = 0) -> Cost:
    """Return what a design costs; `more_replicas` than the formula are there at the peak, to meet a goal."""
    share = live_share(name, each)
    peak = each.replicas(each.peak_rate * share) + more_replicas if is_live(name) else 0
    window = _window_gpus(each) if name.startswith("window") else 0
    parts: dict[str, float] = {}
    if name == "monolith":
        reloading = each.given.deploys_a_month * each.given.startup_seconds / 3600
        parts["GPUs always on"] = peak * each.gpus * MONTH_HOURS * each.given.gpu_hour
        parts["GPUs while deploying"] = peak * each.gpus * reloading * each.given.gpu_hour
    elif is_live(name):
        quiet = min(
            peak, each.replicas(each.quiet_rate * share) + (more_replicas if each.given.peak_hours == 24 else 0)
        )
        parts["GPUs by the hour"] = _hours_a_month(each, peak, quiet) * each.gpus * each.given.gpu_hour
    if name.startswith("window"):
        parts["GPUs in the window"] = _window_hours(each) * each.gpus * each.given.nights * each.given.window_gpu_hour
    if name == "hosted":
        parts["hosted batch"] = _batch_answers(each) * _hosted_price(each) * each.given.hosted_batch_share
    if name in ("window, hosted", "hosted"):
        parts["hosted answers"] = each.requests * share * _hosted_price(each)
    if name != "monolith":
        machines = max(1, math.ceil(each.peak_rate / each.given.machine_requests_a_second - 1e-9))
        parts["machines of the service"] = machines * MONTH_HOURS * each.given.machine_hour
    return Cost(parts, peak, peak * each.gpus + window)


def _hours_a_month(each: Case, peak: int, quiet: int) -> float:
    """Return the hours of all replicas: those of the peak start once a day, and are paid while they start."""
    busy = each.given.peak_hours
    starting = (peak - quiet) * each.given.startup_seconds / 3600
    return _DAYS * (busy * peak + (24 - busy) * quiet + starting)


def _batch_answers(each: Case) -> float:
    return each.anticipated * each.given.changed_share * each.given.nights


def _window_hours(each: Case) -> float:
    """Return the hours of a night in which a replica works, however many share them; each starts once."""
    return _generating_hours(each) + _window_replicas(each) * each.given.startup_seconds / 3600


def _generating_hours(each: Case) -> float:
    tokens = each.anticipated * each.given.changed_share * each.answer_tokens
    return tokens / (each.batch_tokens_a_second * each.speed) / 3600


def _window_replicas(each: Case) -> int:
    room = each.given.window_hours - each.given.startup_seconds / 3600
    return max(1, math.ceil(_generating_hours(each) / room - 1e-9)) if room > 0 else 1


def _window_gpus(each: Case) -> int:
    return _window_replicas(each) * each.gpus


def _hosted_price(each: Case) -> float:
    """Return the price of a hosted answer."""
    given = each.given
    tokens = each.prompt_tokens * given.hosted_prompt_price + each.answer_tokens * given.hosted_answer_price
    return tokens / 1e6 * each.hosted_price
