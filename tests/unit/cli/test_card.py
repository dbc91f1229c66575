"""What a model card takes of a bench."""

from pathlib import Path

from glider.bench.results import Figure, Results
from glider.cli.card import bench_results, main_figures

TRUST = Path(__file__).parents[3] / "benchmarks/results/trust/results.json"


def test_of_thousands_of_figures_the_means_and_their_differences():
    found = main_figures(bench_results(TRUST))
    assert len(found) < 40  # of 3,293 figures and 729 differences
    nano, gap = (
        next(one for one in found if one.system == system)
        for system in ("nano, expected", "base, expected less nano, expected")
    )
    assert (nano.benchmark, nano.metric) == (
        "mean over 48 benchmarks", "aggregate: 0 random, 1 perfect",
    )  # fmt: skip
    assert round(nano.figure.value, 3) == 0.105 and nano.figure.n == 1592
    assert gap.metric == "difference of aggregates" and round(gap.figure.value, 3) == -0.156
    # People rated twice on some sets only, and it says on how many.
    (people,) = (one for one in found if one.system == "human")
    assert people.benchmark == "mean over 14 benchmarks"


def test_of_few_figures_the_main_metric_of_each_and_not_its_coverage():
    def figure(metric, value, **more):
        return Figure(benchmark="qags", system="mine", metric=metric, value=value, low=0, high=1,
                      n=90, asked=100, judged=90, **more)  # fmt: skip

    results = Results(
        made_at="now", glider="0.1", settings={}, samples={},
        figures=(figure("coverage", 0.9), figure("pearson", 0.3, part="news"),
                 figure("pearson", 0.4), figure("pearson", 0.5, protocol="judged only"),
                 figure("mae", 0.2)),
    )  # fmt: skip
    (found,) = main_figures(results)
    assert (found.metric, found.figure.value, found.figure.skipped) == ("pearson", 0.4, 10)
