"""Planted faults: the demo's are written down truly, and what a judge made of them is counted."""

import json
import runpy
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from glider.cli.demo import CRITERIA, show_planted
from glider.core.errors import RunError
from glider.core.judgments import Judgment
from glider.demo.texts import FILE, planted_faults
from glider.report import build_report
from glider.report.planted import PlantedFault, figures_of, planted_figures, write_planted
from glider.stats.estimates import proportion

write_run = runpy.run_path(str(Path(__file__).with_name("example_run.py")))["write_run"]
TEXTS = [json.loads(x) for x in files("glider.demo").joinpath(FILE).read_text("utf-8").splitlines()]


# The demo's texts -------------------------------------------------------------------------------


def test_every_fault_of_the_demo_stands_where_it_is_said_to_and_not_in_its_twin():
    by_id = {text["id"]: text for text in TEXTS}
    faults = planted_faults()
    assert len(by_id) == len(TEXTS) == 30
    assert len(faults) == 15
    for fault in faults:
        own, twin = by_id[fault.sample], by_id[fault.twin]
        assert own["output"].count(fault.where) == 1
        assert fault.where not in twin["output"]
        assert (own["input"], own["context"]) == (twin["input"], twin["context"])
        assert twin["fault"] is None and twin["twin"] == fault.sample
        assert fault.what.endswith(".")
    assert Counter(f.criterion for f in faults) == dict(zip(CRITERIA, (6, 5, 4), strict=True))


# Counting ---------------------------------------------------------------------------------------


def judgment(score, expected=None, levels=5):
    return Judgment(
        task_id="t", sample_id="s", criterion="c", judge="j", score=score, expected=expected,
        normalized=(score - 1) / (levels - 1),
    )  # fmt: skip


def figures(*scores):
    """Of faults whose texts and clean twins were judged so; None is a failure."""
    faults = [PlantedFault(sample=f"bad {n}", twin=f"good {n}", criterion="c", kind="k", what="w.", where="x")
              for n in range(len(scores))]  # fmt: skip
    judged = {}
    for n, (bad, good) in enumerate(scores):
        judged[f"bad {n}", "c"] = 2 * n, bad
        judged[f"good {n}", "c"] = 2 * n + 1, good
    return figures_of(faults, judged)


def test_found_blamed_and_below_the_twin():
    found = figures(
        (judgment(1, 2.0), judgment(5, 4.0)),  # found, not blamed, below
        (judgment(3, 3.2), judgment(3, 3.1)),  # the middle finds and blames; not below
        (judgment(4, 3.1), judgment(5, 3.2)),  # missed, but below
        (judgment(2), judgment(2)),  # scores alone: found, blamed, a tie is not below
        (None, judgment(4, 4.0)),  # not judged: finds nothing, stays in the denominator
    )
    assert found.found == proportion(3, 5, skipped=1)
    assert found.blamed == proportion(2, 5)
    assert found.below_twin == proportion(2, 5, skipped=1)
    assert [n for _, n, _ in found.lines] == [3, 2, 2]
    assert [(v.found, v.blamed) for v in found.verdicts] == [
        (True, False), (True, True), (False, False), (True, True), (False, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("below", "words"), [(15, "better than chance."), (10, "does not tell"), (2, "does not tell")])  # fmt: skip
def test_what_the_figures_come_to(below, words):
    found = figures(*[(judgment(2, 2.0), judgment(5, 4.0 if n < below else 1.0)) for n in range(15)])  # fmt: skip
    assert words in found.reading


def test_of_two_levels_only_the_lower_finds():
    found = figures((judgment(1, levels=2), judgment(2, levels=2)))
    assert (found.found.value, found.blamed.value) == (1.0, 0.0)


# In a run ---------------------------------------------------------------------------------------


def test_a_run_with_faults_written_down_shows_them(tmp_path, capsys):
    run = tmp_path / "run"
    made = write_run(run)
    assert planted_figures(run) is None
    scores = {o.sample_id: (n, o) for n, o in made if o.criterion == "faithfulness" and o.kind == "judgment"}  # fmt: skip
    (bad, (row, own)), (good, (_, twin)) = list(scores.items())[4:6]
    write_planted(run, [PlantedFault(sample=bad, twin=good, criterion="faithfulness",
                                     kind="wrong <i>number</i>", what="Not 3.", where="3")])  # fmt: skip
    (verdict,) = planted_figures(run).verdicts
    assert (verdict.row, verdict.score, verdict.twin_score) == (row, own.score, twin.score)
    assert verdict.found == (own.score <= 3)
    show_planted(run)
    told = capsys.readouterr().err
    count = "1 of 1 (100% [21%, 100%])" if verdict.found else "0 of 1 (0% [0%, 79%])"
    assert f"Planted faults found: {count}" in told and "How this is counted" in told
    build_report(run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert f'<a href="#row={row}&amp;criterion=faithfulness">{own.score}</a>' in page
    assert "Wrong &lt;i&gt;number&lt;/i&gt;." in page


@pytest.mark.parametrize("text", ["{", "[1]", '[{"sample": "x"}]'])
def test_a_damaged_file_of_faults_is_refused(tmp_path, text):
    write_run(tmp_path / "run")
    (tmp_path / "run/planted.json").write_text(text, "utf-8")
    with pytest.raises(RunError, match=r"planted\.json is damaged"):
        planted_figures(tmp_path / "run")
