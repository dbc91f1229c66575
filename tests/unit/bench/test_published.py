"""The arithmetic of benchmarks/published.py, and one whole run where the data is at hand."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"

UNDEFINED = {
    "cnndm: Pearson, against the reference summary",
    "xsum: Pearson, against the reference summary",
    "agreement of expert annotators",
    "DICES, safety of dialogue replies (dices_350_expert): alpha",
}
"""What cannot be made of what was published; everything else is a figure."""


@pytest.fixture(scope="module")
def published():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield import_module("published")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # pairs, right as shown, right when swapped, right in both, same answer in both
        ((4, 3, 2, 2, 3), [(1, 1), (1, 1), (1, 0), (0, 0)]),
        ((3, 1, 1, 0, 1), [(1, 0), (0, 1), (0, 0)]),
        ((2, 0, 0, 0, 1), [(0, 0), (0, np.nan)]),  # wrong twice, not the same: one unread
    ],
)
def test_answers_behind_counts(published, counts, expected):
    np.testing.assert_array_equal(published._orders(*counts), np.array(expected, float))


@pytest.mark.parametrize("counts", [(4, 3, 2, 2, 5), (4, 1, 1, 1, 0)])
def test_counts_that_contradict(published, counts):
    with pytest.raises(ValueError, match="contradict"):
        published._orders(*counts)


def test_llmbar_gives_the_published_figures(published):
    rows = list(published.llmbar(published.Data(DATA, seed=1)))
    compared = [row for row in rows if row.theirs is not None and row.ours.n]
    assert len(compared) == 7
    for row in compared:
        assert row.ours.value == pytest.approx(row.theirs, abs=0.0006), row.what
    assert rows[-1].ours.reason == "the annotators' single answers were not published"


def test_a_figure_that_cannot_be_made_says_why(published):
    nothing = published.Undefined("not at hand", 0, 0)
    row = published.Row(topic="t", what="w", ours=nothing, why="", theirs=0.5, seen="recalled")
    assert row.as_data()["undefined"] == "not at hand"
    assert row.as_data()["literature_inside"] is None
    assert "| w | 0.500 (recalled: ) | undefined: not at hand |" in published.markdown([row])


def test_a_figure_of_the_literature_has_the_digits_of_its_source(published):
    nothing = published.Undefined("not at hand", 0, 0)
    row = published.Row(topic="t", what="w", ours=nothing, why="", theirs=0.0735, seen="read")
    assert "| w | 0.0735 (read: ) |" in published.markdown([row])


def test_the_committed_figures_are_all_there():
    result = json.loads((ROOT / "benchmarks/results/published.json").read_text("utf-8"))
    assert {r["what"] for r in result["rows"] if r["value"] is None} == UNDEFINED


@pytest.mark.slow
@pytest.mark.skipif(not DATA.exists(), reason="the records are not here")
def test_the_whole(published, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["published.py", "--out", str(tmp_path)])
    published.main()
    result = json.loads((tmp_path / "published.json").read_text("utf-8"))
    assert result["table"] == (tmp_path / "published.md").read_text("utf-8")
    assert result["table"].strip() == capsys.readouterr().out.strip()
    assert str(DATA) not in json.dumps(result)
    read = [r for r in result["rows"] if r["seen"] == "read" and r["value"] is not None]
    inside = sum(r["literature_inside"] for r in read)
    assert (len(read), inside) == (37, 31)  # see the explanations of the others
    assert {r["what"] for r in result["rows"] if r["value"] is None} == UNDEFINED
