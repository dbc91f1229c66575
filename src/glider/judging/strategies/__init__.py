"""Strategies: better judgments from more calls, as wrappers around a judge (docs/strategies.md).

Other packages add strategies by the entry-point group `glider.strategies`.
"""

from collections.abc import Callable, Sequence

from glider.core.errors import SetupError
from glider.core.plugins import Registry
from glider.judging.judge import Judge
from glider.judging.strategies.base import Strategy
from glider.judging.strategies.driver import StrategyJudge

STRATEGIES: Registry[Callable[[], Strategy]] = Registry(
    kind="strategy",
    group="glider.strategies",
    builtin={
        "rules": "glider.judging.strategies.asking:Rules",
        "questions": "glider.judging.strategies.asking:Questions",
        "reference": "glider.judging.strategies.asking:Reference",
        "swap": "glider.judging.strategies.asking:Swap",
        "pointwise": "glider.judging.strategies.pointwise:Pointwise",
        "mean": "glider.judging.strategies.asking:Mean",
        "decompose": "glider.judging.strategies.parts:Decompose",
        "scenario": "glider.judging.strategies.parts:ByScenario",
        "sentences": "glider.judging.strategies.sentences:Sentences",
        "banded": "glider.judging.strategies.banded:Banded",
    },
)


def with_strategies(judge: Judge, strategies: Sequence[str | Strategy]) -> Judge:
    """Wrap a judge in strategies; the first one gets the original task.

    Args:
        strategies: names, or strategies with options of their own.

    Raises:
        UnknownName: with the nearest names.
        SetupError: one is there twice, or the judge cannot do what it needs.
    """
    made = [STRATEGIES.get(s)() if isinstance(s, str) else s for s in strategies]
    names = [strategy.name for strategy in made]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SetupError(f"strategy given twice: {', '.join(repeated)}")
    for strategy in reversed(made):
        judge = StrategyJudge(judge, strategy)
    return judge
