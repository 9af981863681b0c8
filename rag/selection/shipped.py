"""The shipped selector, for collections whose own wordings are too few to certify a threshold.

How sure a score has to be depends on how many wordings speak: with two an answer, what another answer's wordings say is
easily taken for its own. So there are thresholds for several numbers of wordings, and a collection gets those of the
next smaller number. What they were learned from is in shipped-NOTICE.txt.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rag.selection.certificate import SelectionCertificate
from rag.selection.selector import FORMAT, Selector, Weights

SHIPPED = Path(__file__).with_name("shipped.json")


@dataclass(frozen=True)
class ShippedSelector:
    """Weights, and certificates by the number of wordings an answer."""

    weights: Weights
    certificates: Mapping[int, tuple[SelectionCertificate, ...]]

    def selector(self, wordings: float) -> Selector:
        """Return the selector for answers with so many wordings."""
        numbers = sorted(self.certificates)
        number = max((each for each in numbers if each <= wordings), default=numbers[0])
        return Selector(self.weights, self.certificates[number])

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        certificates = {str(number): [each.as_json() for each in mine] for number, mine in self.certificates.items()}
        found = {"format": FORMAT, "weights": asdict(self.weights), "certificates": certificates}
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path = SHIPPED) -> ShippedSelector:
        """Load the one that is part of the package."""
        found = json.loads(path.read_text(encoding="utf-8"))
        certificates = {
            int(number): tuple(SelectionCertificate(**each) for each in mine)
            for number, mine in found["certificates"].items()
        }
        return cls(Weights(**found["weights"]), certificates)
