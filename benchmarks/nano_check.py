"""Does a judge made by `make nano` measure as the shipped one does?

    python benchmarks/nano_check.py runs/nano/results/trust/results.json

Both files are what `trust.py` writes. For the mean over all sets, and over each group of them: the
shipped figure with its interval, the new one, and whether it lies within. Exit 1 if one does not,
or if the two were not measured on the same sets.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from glider.bench.held_out import EXPOSURES
from glider.bench.results import Figure, Results
from glider.bench.standing import Standings

SHIPPED = Path(__file__).resolve().parent / "results" / "trust" / "results.json"
SYSTEM = "nano, expected"


@dataclass(frozen=True, slots=True)
class Compared:
    """One mean of both judges."""

    group: str
    shipped: Figure
    new: Figure | None

    @property
    def within(self) -> bool:
        """The new value is in the shipped interval, over as many items."""
        low, high = self.shipped.low, self.shipped.high
        if self.new is None or self.new.value is None or low is None or high is None:
            return False
        return self.new.n == self.shipped.n and low <= self.new.value <= high

    def row(self) -> str:
        """A line of the table."""
        new = _figure(self.new)
        return (
            f"| {self.group} | {_figure(self.shipped)} | {new} | {'yes' if self.within else 'NO'} |"
        )


def compared(shipped: Results, new: Results) -> Iterator[Compared]:
    """The mean over all sets and over each group that the shipped results have."""
    before, after = Standings(shipped), Standings(new)
    for group in ("", *EXPOSURES):
        figure = before.aggregate(SYSTEM, group)
        if figure is not None:
            yield Compared(group or "all sets", figure, after.aggregate(SYSTEM, group))


def _figure(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return "none"
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f" [{figure.low:.3f}, {figure.high:.3f}]"
    return f"{figure.value:.3f}{interval} n={figure.n}"


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("new", type=Path, help="results.json of the new judge")
    parser.add_argument("--shipped", type=Path, default=SHIPPED, help="of the shipped one")
    given = parser.parse_args()
    shipped, new = (
        Results.model_validate_json(path.read_bytes()) for path in (given.shipped, given.new)
    )
    found = list(compared(shipped, new))
    print("| mean over | shipped | new | within |\n|---|---|---|---|")
    print("\n".join(one.row() for one in found))
    return 0 if found and all(one.within for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
