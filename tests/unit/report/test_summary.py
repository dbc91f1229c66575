"""The figures of a run: counted once, right, and kept across `glider report`."""

import json
import runpy
from pathlib import Path

import pytest

from glider.core.judgments import Comparison, Failure, Highlight, Judgment, Usage
from glider.report.summary import Tallies, summarise
from glider.report.write import write_report

write_run = runpy.run_path(str(Path(__file__).with_name("example_run.py")))["write_run"]


def said_by(criterion):
    return {"task_id": "t", "sample_id": "s", "criterion": criterion, "judge": "j"}


def judged(score, *matches, criterion="tone"):
    return Judgment(
        **said_by(criterion),
        score=score,
        normalized=0,
        highlights=tuple(Highlight(phrase="p", match=match) for match in matches),
        usage=Usage(prompt_tokens=10, completion_tokens=2),
    )


def lost(code, message="m", *, stage="read", criterion="tone"):
    return Failure(**said_by(criterion), stage=stage, code=code, message=message)


def compared(first, second, preferred, flipped=None, orders=None):
    orders = orders or (judged(0, criterion="pair"),)
    p = None if all(isinstance(order, Failure) for order in orders) else 0.5
    return Comparison(
        **said_by("pair"), first=first, second=second, preferred=preferred, p_first=p,
        flipped=flipped, orders=orders,
    )  # fmt: skip


def counted(*outcomes):
    tallies = Tallies()
    for outcome in outcomes:
        tallies.add(outcome)
    return tallies


def test_scores_failures_and_highlights_of_one_criterion():
    row = counted(
        judged(4, "exact", "unplaced"),
        lost("timeout", "first", stage="generate"),
        judged(5, "exact"),
        lost("truncated", "other"),
        lost("timeout", "second", stage="generate"),
    ).summary()["criteria"]["tone"]
    assert (row["asked"], row["judged"], row["failed"]) == (5, 2, 3)
    assert row["counts"] == {"4": 1, "5": 1}
    assert row["mean"] == 4.5
    assert list(row["failures"].items()) == [("generate/timeout", 2), ("read/truncated", 1)]
    assert row["examples"] == {"generate/timeout": "first", "read/truncated": "other"}
    assert row["highlights"] == {"exact": 2, "unplaced": 1}
    assert "wins" not in row


def test_no_interval_of_a_mean_score_ends_beyond_the_levels_there_are():
    known = {"score_probs": dict.fromkeys(range(1, 6), 0.2)}
    scores = [judged(score) for score in (5, 5, 4, 5)]
    free = counted(*scores).summary()["criteria"]["tone"]
    held = counted(*(one.model_copy(update=known) for one in scores)).summary()["criteria"]["tone"]
    assert free["high"] > 5 and held["high"] == 5
    assert held["low"] == free["low"]


def test_comparisons_are_counted_by_name_place_and_pair():
    a_failed, b_failed = (lost(code, criterion="pair") for code in ("truncated", "missing_part"))
    tallies = counted(
        compared("a", "b", "a", flipped=False),
        compared("a", "b", None, flipped=True),
        compared("c", "a", "a", flipped=False),
        compared("b", "c", "b", orders=(a_failed, judged(1, criterion="pair"))),
        compared("b", "c", None, orders=(a_failed, b_failed)),
    )
    pair = tallies.by_criterion["pair"]
    assert pair.wins == {"a": 2, "tie": 1, "b": 1}
    assert pair.places == {"first": 2, "second": 1, "tie": 1}
    assert pair.pairs == {("a", "b"): 2, ("c", "a"): 1, ("b", "c"): 1}
    row = tallies.summary()["criteria"]["pair"]
    assert (row["asked"], row["failed"], row["failures"]) == (5, 1, {"read/truncated": 1})
    assert row["wins"] == {"a": 2, "tie": 1, "b": 1}
    assert (row["flip_rate"]["value"], row["flip_rate"]["n"]) == (0.3333, 3)
    assert "counts" not in row


def test_a_name_with_pairs_and_scores_tells_of_both():
    row = counted(judged(1, criterion="pair"), compared("a", "b", "a")).summary()["criteria"][
        "pair"
    ]
    assert (row["wins"], row["counts"]) == ({"a": 1}, {"1": 1})


def test_totals_are_over_all_criteria():
    summary = counted(
        judged(4), judged(2, criterion="other"), lost("task"), lost("task", criterion=""),
        compared("a", "b", "a", orders=(judged(0), judged(1))),
    ).summary()  # fmt: skip
    assert (summary["asked"], summary["judged"], summary["failed"]) == (5, 3, 2)
    assert summary["coverage"]["value"] == 0.6
    assert summary["usage"]["prompt_tokens"] == 40  # both orders of the pair were paid for
    assert list(summary["criteria"]) == ["", "other", "pair", "tone"]


SESSION = {"outcomes": 3, "seconds": 1.5, "per_minute": 120.0}


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        (None, {"finished": False}),  # a run that was stopped has no summary
        ({"asked": 1}, {"finished": False}),
        ({"asked": 1, "finished": False}, {"finished": False}),
        (
            {"asked": 1, "session": SESSION, "finished": True},
            {"session": SESSION, "finished": True},
        ),
    ],
)
def test_a_report_makes_the_figures_anew_and_keeps_what_only_the_run_knew(tmp_path, before, kept):
    run = tmp_path / "run"
    write_run(run, rows=8)
    if before is not None:
        (run / "summary.json").write_text(json.dumps(before), "utf-8")
    write_report(run)
    assert json.loads((run / "summary.json").read_bytes()) == summarise(run) | kept
    page = (run / "report.html").read_text("utf-8")
    assert ("This run is incomplete" in page) != kept["finished"]
