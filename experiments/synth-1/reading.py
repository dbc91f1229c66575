"""The shares of the makers' reading, with 95 % intervals, from reading.json.

python experiments/synth-1/reading.py
"""

import json
from pathlib import Path

from glider.stats.estimates import Estimate, proportion


def main() -> None:
    """Count and print."""
    read = json.loads(Path(__file__).with_name("reading.json").read_text("utf-8"))["records"]
    for question in next(iter(read.values())):
        found = proportion(sum(answers[question] for answers in read.values()), len(read))
        assert isinstance(found, Estimate)
        print(f"{question}: {found.value:.0%} [{found.low:.0%}, {found.high:.0%}], n={found.n}")


if __name__ == "__main__":
    main()
