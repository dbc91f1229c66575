"""Published figures beside ours: each of a set there is, with its source, and one table of both."""

from glider.bench.markdown import brief
from glider.bench.metrics import METRICS
from glider.bench.published import published
from glider.bench.results import Figure, Results
from glider.gold.sets import load_set


def test_each_is_of_a_shipped_set_and_says_how_it_can_be_compared():
    for each in published():
        metrics = load_set(each.set).metrics
        assert each.metric in metrics if each.metric else each.why, each
        assert each.source and all(0 <= value <= 100 for value in each.figures.values())
        if each.metric:
            METRICS.get(each.metric)


def test_ours_stands_among_theirs_only_where_the_metric_is_the_same():
    where = {"benchmark": "judgebench_gpt", "system": "mine", "n": 350, "asked": 350, "judged": 350}
    figures = (
        Figure(metric="accuracy_both", value=0.5, low=0.45, high=0.55, **where),
        Figure(metric="coverage", value=1.0, **where),
    )
    one = load_set("judgebench_gpt")
    results = Results(
        made_at="now", glider="0", samples={}, figures=figures,
        settings={
            "benchmarks": {one.name: {"family": one.family, "metrics": list(one.metrics)}},
            "systems": {"mine": {"kind": "judge"}},
        },
    )  # fmt: skip
    table = brief(results).split("## Beside published figures")[1]
    systems = [line.split(" | ")[2] for line in table.splitlines() if "both orders" in line]
    assert systems.index("DeepSeek-R1") < systems.index("**mine**") < systems.index("J1-Llama-8B")
    assert "50.0 [45.0, 55.0]" in table and "measured here" in table
    assert table.count("**mine**") == 1 and "not told whether one order or both" in table
