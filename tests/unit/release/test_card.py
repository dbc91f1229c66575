"""What a model card takes of a bench."""

import json
from pathlib import Path

from glider.bench.results import Figure, Results
from glider.release.card import bench_results, main_figures

TRUST = Path(__file__).parents[3] / "benchmarks/results/trust/results.json"


def test_of_thousands_of_figures_the_means_and_what_the_best_has_over_the_others():
    told = json.loads(TRUST.read_text("utf-8"))
    assert len(told["figures"]) > 3000 and len(told["differences"]) > 700
    found = main_figures(bench_results(TRUST))
    assert len(found) < 40
    (nano,) = (one for one in found if one.system == "nano, expected")
    (mean,) = (
        one for one in told["figures"]
        if (one["benchmark"], one["part"], one["system"], one["metric"], one["protocol"])
        == ("all", "", "nano, expected", "aggregate", "strict")
    )  # fmt: skip
    assert (nano.benchmark, nano.metric) == (
        "mean over 48 benchmarks", "aggregate: 0 random, 1 perfect",
    )  # fmt: skip
    assert (nano.figure.value, nano.figure.n) == (mean["value"], mean["n"])
    gaps = [one for one in found if one.metric == "difference of aggregates"]
    assert all("nano, expected" in one.system.split(" less ") for one in gaps)
    (gap,) = (one for one in gaps if one.system == "base, expected less nano, expected")
    (difference,) = (
        one["value"] for one in told["overall"]
        if (one["a"], one["b"], one["part"]) == ("base, expected", "nano, expected", "")
    )  # fmt: skip
    assert gap.figure.value == difference < 0
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
