"""Rows that bring their own criteria under one name: each keeps its own, and no scales are mixed."""

import json
import re
from html import unescape

import pytest

from glider.backends.scripted import ScriptedBackend
from glider.batch.run import JudgingPlan, execute
from glider.calibration.labelled import LabelledRun
from glider.cli.show import show_summary
from glider.core.errors import SetupError
from glider.data.presets import columns_for
from glider.data.rows import open_rows
from glider.formats.nano import NanoFormat
from glider.gate.checks import parse_check
from glider.gate.runs import RunFigures
from glider.judging.judge import Judge
from glider.report.html import build_report
from glider.report.summary import summarise
from glider.stats.estimates import Undefined
from glider.store.manifest import Manifest
from glider.store.run import AskedCriteria, RunFolder, load_criteria, outcomes, write_summary

RUBRICS = (
    {"0": "ROW-A-NO", "1": "ROW-A-YES"},
    {"1": "ROW-B-LOW", "9": "ROW-B-HIGH"},
    {"1": "ROW-C-LOW", "3": "ROW-C-MID", "5": "ROW-C-HIGH"},
)
TOPS = (1, 9, 3)


def records(rubrics=RUBRICS, copies=2):
    return [
        {
            "id": f"{n}", "input": f"q{n}", "output": f"score={TOPS[k]}", "label": TOPS[k],
            "criterion": {"name": "quality", "description": f"Question {k}?"},
            "rubric": rubrics[k],
        }
        for n in range(copies * len(rubrics))
        for k in [n % len(rubrics)]
    ]  # fmt: skip


def answer(request):
    return re.findall(r"score=(\d)", str(request.messages))[-1]


@pytest.fixture
def make_run(tmp_path):
    def make(rows, *, upto=None, resume=False):
        file, folder = tmp_path / "rows.jsonl", tmp_path / "run"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        manifest = Manifest.of(
            run_id="run", judge="scripted/x nano", settings={}, criteria={"(record)": ""},
            input_path="rows.jsonl", input_sha256="0",
        )  # fmt: skip
        first = list(open_rows(str(file)))[:upto]
        columns = columns_for(rows[0], preset="record")
        made = (
            RunFolder.resume(folder, manifest) if resume else RunFolder.create(folder, manifest, [])
        )
        judge = Judge(ScriptedBackend(answer), format=NanoFormat(explain=False))
        with judge, made as run:
            execute(
                judge, JudgingPlan(rows=first, columns=columns, criteria=()), run, lambda *_: None
            )
        write_summary(folder, summarise(folder) | {"finished": True})
        return folder

    return make


@pytest.mark.parametrize("reverse", [False, True])
def test_nothing_depends_on_which_row_came_first(make_run, tmp_path, capsys, monkeypatch, reverse):
    rows = records()[::-1] if reverse else records()
    run = make_run(rows)
    asked = AskedCriteria(run)
    for row, outcome in outcomes(run):
        described = asked.of(row, outcome).rubric.model_dump()["levels"]
        assert described == {int(s): text for s, text in rows[row]["rubric"].items()}
    assert len(load_criteria(run)) == 3

    found = summarise(run)["criteria"]["quality"]
    assert found["criteria"] == 3 and "mean" not in found and "counts" not in found
    assert "different scales (0 to 1, 1 to 5, 1 to 9)" in found["mean_score"]["reason"]
    assert found["counts_by_scale"] == {
        "0 to 1": {"1": 2}, "1 to 5": {"3": 2}, "1 to 9": {"9": 2},
    }  # fmt: skip
    assert found["normalized_mean"]["value"] == pytest.approx((1 + 1 + 0.5) / 3, abs=1e-4)

    monkeypatch.setenv("COLUMNS", "200")
    show_summary(summarise(run))
    assert "normalized 0.83" in capsys.readouterr().err

    build_report(run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    head = json.loads(re.search(r'id="head"[^>]*>(.*?)</script>', page, re.S)[1])
    table = json.loads(re.search(r'id="rows"[^>]*>(.*?)</script>', page, re.S)[1])
    for line in table:
        levels = head["criteria"][line[2]]["levels"]
        assert levels == rows[line[0]]["rubric"]
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "different scales; normalized mean 0.83" in words
    assert "3 criteria have this name" in words
    # Each has a card of its own, with its own levels, its own count and a mean on its own scale.
    for n, rubric in enumerate((rows[k]["rubric"] for k in range(3)), start=1):
        card = words.partition(f"quality, {n} of 3 quality Question")[2].partition("All 2 judged")[
            0
        ]
        assert all(text in card for text in rubric.values()), n
        assert not any(text in card for other in RUBRICS for text in other.values()
                       if text not in rubric.values())  # fmt: skip

    figures = RunFigures(run)
    mean = figures.measure(parse_check("mean_score >= 3")).figure
    assert isinstance(mean, Undefined) and "normalized_mean" in mean.reason
    assert isinstance(figures.measure(parse_check("pass_rate@3 >= 0")).figure, Undefined)
    normalized = figures.measure(parse_check("normalized_mean >= 0.5")).figure
    assert normalized.value == pytest.approx(2.5 / 3)
    assert round(normalized.low, 4) == found["normalized_mean"]["low"]

    with pytest.raises(SetupError, match="different levels"):
        LabelledRun.load(run)


def test_other_words_on_one_scale_have_a_mean(make_run):
    words = [{str(level): f"{level} {k}" for level in (1, 3, 5)} for k in range(3)]
    rows = [
        row | {"output": f"score={row_no % 3 * 2 + 1}", "label": 3}
        for row_no, row in enumerate(records(words))
    ]
    run = make_run(rows)
    found = summarise(run)["criteria"]["quality"]
    assert (
        found["criteria"] == 3
        and found["mean"] == 3
        and found["counts"] == {"1": 2, "3": 2, "5": 2}
    )
    assert found["low"] >= 1 and found["high"] <= 5
    labelled = LabelledRun.load(run)
    assert labelled.levels == (1, 3, 5) and labelled.criterion_id == ""


def test_a_name_of_very_many_criteria_has_one_card(make_run, tmp_path):
    shared = {"output": "score=5", "label": 5}
    rows = [
        row | shared | {"rubric": {"1": f"LOW-{n}", "5": f"HIGH-{n}"}}
        for n, row in enumerate(records(copies=5)[:13])
    ]
    build_report(make_run(rows), tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count('<article class="card"') == 1
    assert "13 criteria have this name" in page


def test_criteria_are_kept_over_a_stop(make_run):
    rows = records()
    make_run(rows, upto=2)
    run = make_run(rows, resume=True)
    asked = AskedCriteria(run)
    assert len(asked.criteria) == 3
    found = {row: asked.of(row, outcome).rubric.high for row, outcome in outcomes(run)}
    assert found == {n: (1, 9, 5)[n % 3] for n in range(6)}
    texts = (run / "samples.jsonl").read_text()
    assert texts.count("ROW-A-YES") == 1, "what many rows ask is written once"


def test_a_run_of_0_1_kept_the_first_criterion_only(make_run):
    """It is not taken for that of rows which it does not fit."""
    run = make_run(records())
    first = load_criteria(run)[0]
    (run / "criteria.json").write_text(json.dumps([first.model_dump(mode="json")]))
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        del line["criterion"]
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = AskedCriteria(run)
    told = {row: asked.of(row, outcome) for row, outcome in outcomes(run)}
    assert [row for row, criterion in told.items() if criterion] == [0, 3]
    found = summarise(run)["criteria"]["quality"]
    assert "mean" not in found or found["high"] <= 9
    build_report(run, run / "report.html")
    assert "does not record the criterion" in (run / "report.html").read_text()
