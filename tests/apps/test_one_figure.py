"""Commands that print the same figure print the same interval: terminal, report, gate, calibrate, bench."""

import json
import re
from html import unescape

import pytest
from labelled_runs import GRADES, failure, judgment, write_run

from glider.backends.scripted import ScriptedBackend
from glider.bench.bench import figures_of
from glider.bench.choose import choose
from glider.bench.collect import recorded
from glider.bench.run import judge_items, run_folder
from glider.bench.settings import BenchSettings
from glider.calibration.calibrate import calibrate
from glider.cli.show import show_summary
from glider.formats.nano import NanoFormat
from glider.gate.gate import gate_run
from glider.judging.judge import Judge
from glider.report.html import build_report
from glider.report.summary import summarise
from glider.store.run import write_summary

N = 57
LOST = {4, 5, 33}
ONE_EACH, THREE_EACH, ONE_FOR_ALL = range(N), [n // 3 for n in range(N)], [0] * N


def score(n, prompt):
    return 1 + (prompt % 3) + (n % 3)


@pytest.fixture(params=["one each", "three each", "one for all"])
def prompts(request):
    return {"one each": ONE_EACH, "three each": THREE_EACH, "one for all": ONE_FOR_ALL}[
        request.param
    ]


@pytest.fixture
def run(tmp_path, prompts):
    def probs(n):
        return [float(level == score(n, THREE_EACH[n])) for level in range(1, 6)]

    outcomes = [failure(n) if n in LOST else judgment(n, probs(n)) for n in range(N)]
    labels = [score(n, THREE_EACH[n]) for n in range(N)]
    folder = write_run(tmp_path / "run", outcomes, labels=labels, prompts=prompts)
    write_summary(folder, summarise(folder) | {"finished": True})
    return folder


def ends(figure):
    low, high = (
        (figure["low"], figure["high"]) if isinstance(figure, dict) else (figure.low, figure.high)
    )
    return pytest.approx((low, high), abs=6e-5)  # summary.json has four digits


def test_of_a_run(run, prompts, tmp_path, capsys):
    summary = summarise(run)
    row = summary["criteria"]["quality"]
    checked = gate_run(run, ["mean_score >= 1", "coverage >= 0", "coverage:quality >= 0",
                         "pass_rate:quality@3 >= 0"])  # fmt: skip
    mean, coverage, own_coverage, passed = (a.measured.figure for a in checked.answers)
    assert (row["low"], row["high"]) == (mean.low, mean.high)
    assert (summary["coverage"]["low"], summary["coverage"]["high"]) == ends(coverage)
    assert (row["coverage"]["low"], row["coverage"]["high"]) == ends(own_coverage)
    n_clusters = len(set(prompts))
    assert ("over 19 clusters" in mean.method) == (n_clusters == 19)

    show_summary(summary)
    assert f"{mean.value:.2f} [{mean.low:.2f}, {mean.high:.2f}]" in capsys.readouterr().err
    build_report(run, tmp_path / "report.html")
    words = re.sub(r"<[^>]+>", " ", (tmp_path / "report.html").read_text())
    assert f"{mean.value:.2f} {mean.low:.2f} to {mean.high:.2f}" in " ".join(
        unescape(words).split()
    )

    alone = calibrate(run).finding("labels_alone")
    of_labels = gate_run(write_labels_as_scores(tmp_path, prompts), ["mean_score >= 1"]).answers[0]
    assert (alone.value, alone.low, alone.high) == (
        of_labels.measured.figure.value, of_labels.measured.figure.low, of_labels.measured.figure.high,
    )  # fmt: skip
    assert passed.low <= passed.value <= passed.high


def write_labels_as_scores(tmp_path, prompts):
    """A run of a judge that says what people do."""
    outcomes = [
        judgment(n, [float(level == score(n, THREE_EACH[n])) for level in range(1, 6)])
        for n in range(N)
    ]
    folder = write_run(tmp_path / "people", outcomes, prompts=prompts)
    write_summary(folder, {"finished": True})
    return folder


def test_of_own_labels(run, prompts, tmp_path):
    """`glider bench` counts coverage over the same clusters as `glider gate` does."""
    file = tmp_path / "mine.jsonl"
    records = [
        {"id": f"s{n}", "input": f"prompt {prompts[n]}", "output": f"text {n}",
         "label": score(n, THREE_EACH[n]), "scale": [1, 5]}
        for n in range(N)
    ]  # fmt: skip
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    (chosen,) = choose([str(file)], None, criterion=GRADES)

    def answer(request):
        n = int(re.findall(r"text (\d+)", str(request.messages))[-1])
        return "no score" if n in LOST else str(score(n, THREE_EACH[n]))

    loaded = chosen.labelled.load(chosen.folder)
    judge_items(
        Judge(ScriptedBackend(answer), format=NanoFormat(explain=False)), loaded.items,
        run_folder(tmp_path / "b", "judge", chosen.labelled.name),
        settings=recorded(chosen.labelled, "judge", limit=None, seed=0, judge={}),
    )  # fmt: skip
    results = figures_of(tmp_path / "b", BenchSettings(baselines=False, resamples=99))
    (benched,) = (f for f in results.figures if f.metric == "coverage" and f.benchmark == "mine")
    (pearson,) = (
        f
        for f in results.figures
        if f.metric == "pearson" and not f.part and f.protocol == "strict" and f.benchmark == "mine"
    )
    assert pearson.value is not None and pearson.low is not None, pearson.undefined
    checked = gate_run(run, ["coverage >= 0"]).answers[0].measured.figure
    assert (benched.value, benched.low, benched.high) == (checked.value, checked.low, checked.high)
    (tmp_path / "b" / "results.json").write_text(results.model_dump_json())
    again = gate_run(tmp_path / "b", ["coverage:mine >= 0"]).answers[0].measured.figure
    assert (again.low, again.high) == (checked.low, checked.high)
