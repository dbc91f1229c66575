"""pytest plugin: judge in tests and decide by the interval, not the point estimate.

pytest loads it wherever Glider is installed, so it imports nothing of Glider until a test uses a
fixture.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from glider.core.judgments import Comparison, Failure, Judgment
    from glider.judging.judge import Judge

    Outcome = Judgment | Failure | Comparison

_TOLD = pytest.StashKey[list[tuple[str, str]]]()


class Gate:
    """Collects outcomes by name and asserts on their figures."""

    def __init__(self, told: list[tuple[str, str]]) -> None:
        """Start empty; `told` receives the lines of the terminal section."""
        self._told = told
        self._collected: dict[str, list[Outcome]] = {}

    def add(self, name: str, *outcomes: "Outcome") -> None:
        """Collect outcomes under a name, for a later test of this session to check together."""
        self._collected.setdefault(name, []).extend(outcomes)

    def __call__(
        self,
        outcomes: "str | Iterable[Outcome]",
        *checks: str,
        clusters: "Sequence[Hashable] | None" = None,
    ) -> None:
        """Assert that checks hold, by the whole interval.

        Args:
            outcomes: the outcomes, or the name under which they were collected.
            checks: `mean_score >= 3.5`, `pass_rate@4 >= 0.9`, `coverage >= 95%`, `failed <= 2`,
                `flip_rate <= 0.1`; with several criteria `mean_score:NAME >= 3.5`.
            clusters: one for each outcome, in their order, equal where they share a prompt or a
                document; all are taken as independent if not given.

        Raises:
            AssertionError: with estimate, interval, n and the samples that pulled it down.
        """
        # Lines of this function would hide the message.
        __tracebackhide__ = True
        from glider.gate.checks import CheckedFigure, parse_checks
        from glider.gate.outcomes import OutcomeFigures
        from glider.gate.render import explained, line

        name = outcomes if isinstance(outcomes, str) else ""
        gathered = self._collected.get(name, []) if isinstance(outcomes, str) else outcomes
        figures = OutcomeFigures.at_hand(gathered, clusters)
        answers = [
            CheckedFigure(check=c, measured=figures.measure(c)) for c in parse_checks(checks)
        ]
        self._told += [(name, line(answer)) for answer in answers]
        lost = [explained(answer) for answer in answers if not answer.passes()]
        if lost:
            raise AssertionError("\n".join(([f"gate {name!r}"] if name else []) + lost))


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option and one ini key."""
    said = "Model of the fixture glider_judge: provider/model or a .gguf file."
    parser.getgroup("glider").addoption("--glider-model", default=None, help=said)
    parser.addini("glider_model", said, default="embedded")


@pytest.fixture(scope="session")
def glider_judge(request: pytest.FixtureRequest) -> "Iterator[Judge]":
    """A judge for the whole session; override it in a conftest.py for other settings."""
    from glider.judging.judge import Judge

    config = request.config
    with Judge(config.getoption("--glider-model") or config.getini("glider_model")) as judge:
        yield judge


@pytest.fixture(scope="session")
def gate(request: pytest.FixtureRequest) -> Gate:
    """Collects outcomes and asserts on their figures."""
    return Gate(request.config.stash.setdefault(_TOLD, []))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print a line for each check made."""
    told = config.stash.get(_TOLD, [])
    if told:
        terminalreporter.section("glider gate", sep="-")
        for name, said in told:
            terminalreporter.write_line(f"{name}: {said}" if name else said)
