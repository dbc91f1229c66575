"""The report without a browser: figures worked by hand, blocks that cannot break out, budgets."""

import json
import re
import runpy
import tracemalloc
from html import unescape
from itertools import groupby
from pathlib import Path

import pytest

from glider.core.errors import (
    BackendError,
    BadRecord,
    DataError,
    ReadError,
    RunError,
    TaskError,
)
from glider.pages.words import coverage, share_of
from glider.report import build_report
from glider.report.failures import FAILURE_HELP

pytestmark = pytest.mark.filterwarnings("error")

EXAMPLE = runpy.run_path(str(Path(__file__).with_name("example_run.py")))
write_run, CRITERIA = EXAMPLE["write_run"], (*EXAMPLE["CRITERIA"], "helpfulness")
NBSP = "\N{NBSP}"


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    write_run(folder)
    return folder


def edit(folder, name, change):
    """Rewrite a file of the run by a function of its lines."""
    path = folder / name
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(change(lines)) + "\n", "utf-8")


def journal_of(folder):
    return [json.loads(x) for x in (folder / "journal.jsonl").read_bytes().splitlines()]


def judged(row, score, criterion="faithfulness"):
    """One short line of a journal."""
    outcome = {
        "kind": "judgment",
        "task_id": "t",
        "sample_id": f"s{row}",
        "criterion": criterion,
        "judge": "j",
        "score": score,
        "normalized": (score - 1) / 4,
    }
    return json.dumps({"row": row, "outcome": outcome})


def lost(row, code, *, stage="read", criterion="faithfulness"):
    outcome = {
        "kind": "failure",
        "task_id": "t",
        "sample_id": f"s{row}",
        "criterion": criterion,
        "judge": "j",
        "stage": stage,
        "code": code,
        "message": f"about {code}",
    }
    return json.dumps({"row": row, "outcome": outcome})


def build(folder, **options):
    out = folder.parent / "report.html"
    build_report(folder, out, **options)
    return out.read_text("utf-8")


def block(page, name):
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    return json.loads(found[1])


def said(page):
    """The page's words, without tags and scripts; every space is a plain one."""
    body = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


# Figures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judged_n", "asked", "text"),
    [
        (0, 0, "unknown"),
        (600, 600, f"100.0{NBSP}%"),
        (9_999, 10_000, f"99.9{NBSP}%"),  # never 100 while one is missing
        (0, 5, f"0.0{NBSP}%"),
    ],
)
def test_coverage(judged_n, asked, text):
    assert coverage(judged_n, asked) == text


@pytest.mark.parametrize(
    ("count", "total", "text"),
    [
        (0, 0, "\N{EN DASH}"),
        (0, 9, f"0{NBSP}%"),
        (1, 1000, f"<1{NBSP}%"),
        (999, 1000, f">99{NBSP}%"),
        (1, 3, f"33{NBSP}%"),
        (9, 9, f"100{NBSP}%"),
    ],
)
def test_share_of(count, total, text):
    assert share_of(count, total) == text


def test_every_code_of_a_failure_is_explained():
    def codes(error):
        yield error.code
        for child in error.__subclasses__():
            yield from codes(child)

    # Of the DataErrors only these are a row's; the others stop a whole command.
    reachable = {c for family in (TaskError, BackendError, ReadError, BadRecord)
                 for c in codes(family)} | {DataError.code}  # fmt: skip
    assert reachable <= FAILURE_HELP.keys()
    for title, happened, remedy in FAILURE_HELP.values():
        assert len(title) < 30
        assert happened.endswith(".")
        assert remedy.endswith(".")


def test_the_figures_of_a_small_run(run):
    journal = [
        *(judged(0, 4), judged(1, 5), lost(2, "truncated")),
        judged(0, 2, "conciseness"),
        *(judged(row, 3, "tone-empathy") for row in range(3)),
    ]
    edit(run, "journal.jsonl", lambda _: journal)
    words = said(build(run))
    assert "Judged 6 of 7" in words
    assert "Coverage 85.7 %" in words
    assert "Faithfulness 1 5 4.50 1.00 to 5.00" in words  # 4.5 ± 12.7 · 0.5, on the scale
    assert "Empathy 1 5 3.00 1.58 to 4.42" in words  # all alike: 3 ± 2 · (1 - 0.025^(1/3))
    assert "Conciseness too few judgments n = 1" in words
    assert "Failed 1 of 3 Answer cut off 1" in words
    assert "read/truncated" in words
    assert "about truncated" in words


def test_scores_beyond_the_rubric_are_shown_too(run):
    edit(run, "journal.jsonl", lambda _: [judged(0, 8), judged(1, 9), judged(2, 10)])
    words = said(build(run))
    assert "Faithfulness 1 10 9.00" in words
    assert "10 1 33 % 9 1 33 % 8 1 33 % 5 0 0 % Every claim" in words


def test_a_row_that_failed_before_its_criterion_was_known_counts_once(run):
    unknown = lost(1, "criterion", stage="load", criterion="")
    edit(run, "journal.jsonl", lambda _: [judged(0, 4), unknown])
    words = said(build(run))
    assert "Judged 1 of 2" in words
    assert "Failed 1" in words
    assert "All 1 judged" in words  # the criterion itself lost nothing


def test_the_last_outcome_of_a_row_counts(run):
    edit(run, "journal.jsonl", lambda _: [lost(0, "timeout"), judged(1, 4), judged(0, 5)])
    page = build(run)
    assert "Judged 2 of 2" in said(page)
    assert [(row[0], row[3]) for row in block(page, "rows")] == [(0, 5), (1, 4)]


def test_a_last_line_cut_by_a_crash_is_left_out(run):
    (run / "journal.jsonl").write_text(judged(0, 4) + "\n" + judged(1, 5)[:-9], "utf-8")
    assert len(block(build(run), "rows")) == 1


def test_figures_of_a_summary_are_shown_as_they_are(run):
    figures = {"asked": 50, "judged": 48, "failed": 2, "mean": 3.21, "low": 3.01, "high": 3.41,
               "counts": {"3": 48}, "failures": {"read/truncated": 2}}  # fmt: skip
    (run / "summary.json").write_text(json.dumps({"criteria": {"faithfulness": figures}}), "utf-8")
    words = said(build(run))
    assert "3.21 3.01 to 3.41" in words
    assert "Failed 2 of 50 Answer cut off 2" in words


@pytest.mark.parametrize("summary", [None, {"criteria": {}}, {"criteria": {}, "finished": False}])
def test_a_run_that_was_stopped_says_so_above_its_figures(run, summary):
    if summary is not None:
        (run / "summary.json").write_text(json.dumps(summary), "utf-8")
    edit(run, "journal.jsonl", lambda _: [judged(0, 4), judged(1, 5), lost(2, "timeout")])
    words = said(build(run))
    notice = (
        "This run is incomplete: 3 outcomes so far. "
        f"Resume it with --run {run} --resume . Judged 2 of 3"
    )
    assert notice in words


def test_a_finished_run_has_no_notice(run):
    (run / "summary.json").write_text(json.dumps({"criteria": {}, "finished": True}), "utf-8")
    assert "This run is incomplete" not in build(run)


def test_the_folder_in_the_notice_can_be_pasted_into_a_shell(run):
    odd = run.rename(run.with_name("a <b> run"))
    assert f"<code>--run &#39;{odd.parent}/a &lt;b&gt; run&#39; --resume</code>" in build(odd)


def test_a_stopped_run_over_standard_input_is_not_told_to_go_on(run):
    edit(run, "manifest.json", lambda lines: [
        '"input_sha256": null,' if "input_sha256" in line else line for line in lines
    ])  # fmt: skip
    edit(run, "journal.jsonl", lambda _: [judged(0, 4)])
    assert "is incomplete: 1 outcome so far. Judged 1 of 1" in said(build(run))


def test_a_damaged_summary_is_refused(run):
    (run / "summary.json").write_text('{"criteria": ', "utf-8")
    with pytest.raises(RunError, match=r"summary\.json is damaged"):
        build(run)


def test_comparisons_show_wins_and_flips(run):
    edit(run, "journal.jsonl", lambda lines: [x for x in lines if '"kind":"comparison"' in x])
    outcomes = [line["outcome"] for line in journal_of(run)]
    words = said(build(run))
    both = [o for o in outcomes if o["flipped"] is not None]
    flips = sum(o["flipped"] for o in both)
    assert 0 < flips < len(both) < len(outcomes)  # one pair of the example has a failed order
    assert f"({flips} of {len(both)} judged in both orders)" in words
    wins = sum(o["preferred"] == "output" for o in outcomes)
    assert f"output better {wins}" in words


def compared(row, first, second, preferred):
    """One short line of a journal: a pair judged in one order."""
    order = json.loads(judged(row, 1))["outcome"] | {"score": int(preferred == second)}
    outcome = {
        **{key: order[key] for key in ("task_id", "sample_id", "judge")},
        "kind": "comparison",
        "criterion": "helpfulness",
        "first": first,
        "second": second,
        "preferred": preferred,
        "p_first": {first: 0.9, second: 0.1}.get(preferred, 0.5),
        "flipped": None,
        "orders": [order],
    }
    return json.dumps({"row": row, "outcome": outcome})


def test_several_pairs_of_one_row_are_all_listed_and_counted_by_name(run):
    journal = [
        compared(0, "a", "b", "a"),
        compared(0, "a", "c", "a"),
        compared(0, "b", "c", "c"),
        compared(1, "a", "b", None),
    ]
    edit(run, "journal.jsonl", lambda _: journal)
    page = build(run)
    assert [row[10] for row in block(page, "rows")] == [
        ["a", "b"], ["a", "c"], ["b", "c"], ["a", "b"],
    ]  # fmt: skip
    assert "a 2 of 3 c 1 of 2 b 0 of 3" in said(page)
    assert "None was judged in both orders" in said(page)


# The data in the page ---------------------------------------------------------------------------


def test_every_outcome_is_listed_in_row_order(run):
    page = build(run)
    rows = block(page, "rows")
    assert len(rows) == len(journal_of(run))
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    for row, lines in groupby(rows, key=lambda line: line[0]):
        listed = [(CRITERIA[line[2]], line[-1]) for line in lines]
        stored = block(page, f"texts-{listed[0][1]}")[str(row)]["outcomes"]
        assert [name for name, _ in listed] == [outcome["criterion"] for outcome in stored]


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "line\u2028and\u2029paragraph",
        "&lt;b&gt; &amp;",
        "lone \ud83d surrogate",
        "nul \x00 and \r\n",
    ],
)
def test_no_text_leaves_its_block(run, text):
    def poison(lines):
        first = json.loads(lines[0])
        first["fields"][0]["text"] = text
        return [json.dumps(first), *lines[1:]]

    plain = build(run)
    edit(run, "samples.jsonl", poison)
    page = build(run)
    assert page.count("<script") == plain.count("<script")
    assert page.count("</script") == plain.count("</script")
    assert "\u2028" not in page
    assert block(page, "texts-0")["0"]["fields"][0]["text"] == text


def test_not_a_number_does_not_break_the_page(run):
    edit(run, "journal.jsonl", lambda _: [judged(0, 4)[:-2] + ', "expected": NaN}}'])
    assert block(build(run), "rows")[0][4] is None


def test_texts_beyond_the_budget_are_left_out_and_the_page_says_so(run):
    page = build(run, text_budget=60_000)
    rows = block(page, "rows")
    without = [row[0] for row in rows if row[-1] is None]
    with_texts = {row[0] for row in rows if row[-1] is not None}
    assert 0 < len(with_texts) < 40
    assert set(without) == set(range(len(with_texts), 40))  # from one row on, all
    assert (
        f"first {len(with_texts)} rows only (limit 60 kB). The other "
        f"{40 - len(with_texts)}, from row {len(with_texts)} on" in said(page)
    )
    assert "To keep this page light" not in said(build(run))


def test_a_budget_bounds_memory(run):
    lines = (run / "journal.jsonl").read_text("utf-8").splitlines()[8:20]
    big = [json.dumps(json.loads(line) | {"row": row}) for row in range(300) for line in lines]
    edit(run, "journal.jsonl", lambda _: big)
    size = (run / "journal.jsonl").stat().st_size
    build(run, text_budget=50_000)
    tracemalloc.start()
    build_report(run, run.parent / "report.html", text_budget=50_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size


def test_the_page_asks_for_nothing(run):
    page = build(run)
    shell = re.sub(r'<script type="application/json".*?</script>', "", page, flags=re.S)
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', shell)
    assert "url(" not in shell
    assert "@import" not in shell
    assert "default-src 'none'" in shell


# What is refused --------------------------------------------------------------------------------


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"no manifest\.json"):
        build_report(tmp_path, tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_written_is_said_so(run):
    with pytest.raises(RunError, match=r"cannot write .*report\.html: "):
        build_report(run, run / "journal.jsonl" / "report.html")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("journal.jsonl", "{broken", "journal.jsonl:2: not a line of JSON"),
        ("journal.jsonl", "[]", "journal.jsonl:2: no row with outcome"),
        ("journal.jsonl", judged(99, 4, "unheard-of"), "row 99 has an outcome for 'unheard-of'"),
        (
            "journal.jsonl",
            judged(99, 4).replace('"judge"', '"jugde"'),
            "row 99 has an outcome that",
        ),
        ("samples.jsonl", '{"row": 1}', "samples.jsonl:2: no row with fields"),
        (
            "samples.jsonl",
            '{"row": 99, "id": "x", "metadata": {}, "fields": [{"name": "<b>", "text": "x", "role": "judged"}]}',
            "samples.jsonl:2: damaged",
        ),
    ],
)
def test_a_run_that_cannot_be_read_is_refused(run, name, line, message):
    edit(run, name, lambda lines: [lines[0], line, *lines[1:]])
    with pytest.raises(DataError, match=re.escape(message)):
        build(run)
    assert list(run.parent.iterdir()) == [run]  # nothing half-made is left
