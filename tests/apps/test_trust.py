"""benchmarks/trust.py: from runs to the page and the small artefacts that are committed."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from glider import Criterion, Judge, Sample
from glider.backends.scripted import ScriptedBackend
from glider.bench.collect import judge_deletions, recorded
from glider.bench.held_out import HeldOut
from glider.bench.results import Results
from glider.bench.run import judge_items, run_folder
from glider.core.judgments import Span
from glider.formats.nano import NanoFormat
from glider.gold.items import Item
from glider.gold.sets import load_set

HERE = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def trust(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    import trust

    yield trust
    sys.modules.pop("trust", None)


SETS = ("summeval_op", "shepherd_human", "qags", "mlqe_pe_da")
WORDS = ("--page", "--resamples", "99")


def judged(tmp_path, name, able, *, model="embedded/x", limit=12, sets=SETS, folder="runs"):
    """A judge that is right about texts with an even number, `able` also about the others."""
    criterion = Criterion(name="q", question="Good {output}?", rubric={1: "bad", 5: "good"})
    items = [
        Item(
            sample=Sample.of(f"a private text {n}", id=f"s{n}"), criterion=criterion,
            gold=1.0 if n % 4 < 2 else 5.0, scale=(1.0, 5.0), part="q", cluster=f"c{n}",
        )
        for n in range(limit)
    ]  # fmt: skip

    def answer(request):
        n = int(re.search(r"private text (\d+)", request.messages[-1].content)[1])
        right = "1" if n % 4 < 2 else "5"
        return right if able or n % 2 else "5"

    for benchmark in sets:
        judge_items(
            Judge(ScriptedBackend(answer), format=NanoFormat(explain=False)), items,
            run_folder(tmp_path / folder, name, benchmark),
            settings=recorded(
                load_set(benchmark), name, limit=limit, seed=7, judge={"model": model},
                held_out=HeldOut({"summeval_op": frozenset("a")}, "0"),
            ),
        )  # fmt: skip


def made(trust, tmp_path):
    words = ["--runs", tmp_path / "runs", "--out", tmp_path, "--docs", tmp_path / "b.md"]
    trust.main([*WORDS, *map(str, words)])
    return (tmp_path / "b.md").read_text()


def test_the_page_opens_with_the_answer(trust, tmp_path):
    judged(tmp_path, "base", able=False)
    judged(tmp_path, "nano", able=True, limit=10)
    page = made(trust, tmp_path)
    lines = page.splitlines()
    assert lines[0] == "# Benchmarks"
    assert lines[2].startswith("1. **Better than its base.** Where random answers get 0 and")
    # Right about all against right about half of one of the two levels, on the shared items.
    gain = re.search(r"nano gets 1\.00.* and base 0\.\d+.*: \+0\.(\d+) \[\+", lines[2])
    assert gain, lines[2]
    assert "on 40 items of 4 sets" in lines[2]
    for group in ("Held-out parts of trained sets +0", "other sets +0", "unseen tasks +0"):
        assert group in lines[2]
    assert lines[3].startswith("2. **Better than every simple rule**, among them the length")
    assert lines[4].startswith("3. **Pearson's r** over 3 pointwise English sets: nano 1.00")
    assert "(reached)" in lines[4]
    assert lines[5] == "4. **Readable answers**: nano 100.0% [91.2%, 100.0%] of 40, base 100.0% " \
        "[92.6%, 100.0%] of 48."  # fmt: skip
    assert "- **base**: " in page and "- **nano**: " in page
    assert "reason-first" not in page  # was not measured
    assert page.index("## By what was trained on") < page.index("## By benchmark")
    rows = [line.split(" | ")[:3] for line in lines if line.startswith(("| all sets", "| unseen"))]
    assert rows == [["| all sets", "4", "40"], ["| unseen tasks", "1", "10"],
                    ["| all sets", "3", "30"], ["| unseen tasks", "1", "10"]]  # fmt: skip


def test_the_page_of_the_base_alone(trust, tmp_path):
    judged(tmp_path, "base", able=False)
    page = made(trust, tmp_path)
    assert "nano" not in page.partition("## ")[0].replace("glider-nano", "")
    assert "every simple rule**" in page.splitlines()[2]


def test_the_page_tells_the_smallest_and_the_largest_draw(trust, tmp_path):
    judged(tmp_path, "base", able=False, limit=8, sets=SETS[:2])
    judged(tmp_path, "base", able=False, sets=SETS[2:])
    assert "at most 8 to 12 items of each, drawn with seed 7" in made(trust, tmp_path)


def test_highlights_have_a_table_of_their_own(trust, tmp_path):
    judged(tmp_path, "base", able=False)
    criterion = Criterion(name="q", question="Good {output}?", rubric={1: "bad", 5: "good"})
    first = "Item {} is fine and nobody can say a word against it. "
    second = "But the second sentence lies."
    items = [
        Item(
            sample=Sample.of(first.format(n) + second, id=f"s{n}"),
            criterion=criterion, gold=1.0, scale=(1.0, 5.0), part="q", cluster=f"c{n}",
            spans=(Span(field="output", start=(at := len(first.format(n))), end=at + len(second)),),
        )
        for n in range(12)
    ]  # fmt: skip

    def answer(request):
        asked = request.messages[-1].content
        quote = second
        if re.search(r"Item \d*[05] ", asked):
            quote = quote.removeprefix("But the ")
        bad = quote in asked or "Item 3 " in asked
        return f"{1 if bad else 5}\nQuotes:\n- {quote}\nReason: It lies."

    judge = Judge(ScriptedBackend(answer), format=NanoFormat())
    folder = run_folder(tmp_path / "runs/explained", trust.EXPLAINED, "qags")
    judge_items(
        judge, items, folder,
        settings=recorded(
            load_set("qags"), trust.EXPLAINED, limit=12, seed=7, judge={"model": "embedded/x"},
            held_out=None,
        ),
    )  # fmt: skip
    judge_deletions(judge, folder, seed=7)
    page = made(trust, tmp_path)
    row = next(line for line in page.splitlines() if line.startswith("| qags | 12 | 12 | 1.00"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[4] == "12"
    # 3 of 12 quotes have 3 of the 5 marked words, and no quote has another: 2 x 54 / (54 + 60).
    assert cells[5].startswith("0.95 [")
    assert cells[6].startswith("0.28 [")  # 5 of 17 words are marked
    assert cells[8].startswith("+0.67 [+")
    assert cells[9].startswith("0.92 [") and cells[11].startswith("+")  # 11 of 12 scores moved
    assert page.index("## Highlights") < page.index("## By benchmark")
    assert (
        "significantly better (Holm) than random spans on 1 of 1 sets, twice as good (which was wanted) on 1."
        in page.partition("## ")[0]
    )
    assert trust.EXPLAINED in (tmp_path / "trust/marked.manifests.jsonl").read_text()
    # Runs may be gone; what they came to is told again.
    shutil.rmtree(tmp_path / "runs")
    assert made(trust, tmp_path) == page


def test_ways_of_asking_stand_side_by_side_on_the_same_items(trust, tmp_path):
    judged(tmp_path, "base", able=False)
    judged(tmp_path, "nano", able=True, folder="runs/ways")
    judged(tmp_path, "nano +questions", able=False, folder="runs/ways")
    page = made(trust, tmp_path)
    section = page.partition("## Ways of asking")[2].partition("\n## ")[0]
    rows = [
        line.strip("| ").split(" | ") for line in section.splitlines() if "| 48 of 48 |" in line
    ]
    assert [row[0] for row in rows] == ["nano", "nano +questions"]
    assert [row[3:5] for row in rows] == 2 * [["4", "48"]]
    best, worse = rows
    assert best[5].startswith("1.00") and len(best) == len(worse) - 1  # not itself
    assert worse[-1].startswith("-0.") and worse[-1].endswith("]")
    assert '"nano +questions"' in (tmp_path / "trust/ways.manifests.jsonl").read_text()
    assert "nano +questions" not in page.partition("## By benchmark")[2]


def test_a_survey_made_with_an_earlier_nano_says_so(trust):
    kept = HERE / "results" / "trust"
    results, english, ways, orders = (
        Results.model_validate_json((kept / f"{name}.json").read_bytes())
        for name in ("results", "english", "ways", "orders")
    )
    (ours,) = trust._adapters(results)
    for found in (ways, orders):
        for about in found.settings["systems"].values():
            for theirs in trust._adapters(found):
                about["judge"] = about.get("judge", "").replace(theirs, ours)
    about = ways.settings["systems"]["nano, expected"]
    about["judge"] = "fast/glider-nano@0ddba11 nano/score-first"
    sections = dict(
        part.split("\n", 1)
        for part in trust.page(results, english, ways=ways, orders=orders).split("\n## ")[1:]
    )
    said = [title for title, text in sections.items() if "earlier glider-nano (0ddba11)." in text]
    assert said == ["Ways of asking"]


def test_what_a_reason_costs_is_told_beside_what_it_brings(trust, tmp_path):
    judged(tmp_path, "base", able=False)
    judged(tmp_path, "nano", able=True, folder="runs/orders")
    judged(tmp_path, "nano reason-first", able=False, folder="runs/orders")
    for system, spent in (
        ("nano", [20, 30]),
        ("nano", [40, 66]),
        ("nano reason-first", [240, 480]),
    ):
        trust._note_time(tmp_path / "runs/orders", system, spent)  # stopped and gone on with
    page = made(trust, tmp_path)
    section = page.partition("## What a reason costs")[2].partition("\n## ")[0]
    rows = [
        line.strip("| ").split(" | ") for line in section.splitlines() if "| 48 of 48 |" in line
    ]
    assert [row[0] for row in rows] == ["nano", "nano reason-first"]
    assert [row[3:6] for row in rows] == [["48.0", "30.0", "4"], ["12.0", "6.0", "4"]]
    assert rows[0][6].startswith("1.00") and rows[1][7].startswith("-0.")
    shutil.rmtree(tmp_path / "runs")
    assert made(trust, tmp_path) == page


@pytest.mark.parametrize("name", ["embedded/glider-nano", "glider-nano", "a/folder"])
def test_what_writes_has_an_engine_that_can(trust, name):
    from argparse import Namespace

    args = Namespace(model="fast", nano=name, seed=7)
    model = name.removeprefix("embedded/")
    asked = {one.name: one.settings(args) for one in trust.SURVEYS["ways"].systems}
    assert asked["nano"].model == f"fast/{model}" and not asked["nano"].explain
    assert asked["base"].model == "fast/smollm2-135m-instruct"
    assert asked["nano reason-first K=4"].model == f"embedded/{model}"
    assert asked["nano reason-first K=4"].samples == 4
    assert asked["nano and base"].jury == ("embedded/smollm2-135m-instruct",)
    # Every strategy is a row: pairs are asked in both orders anyway, and K answers are a mean.
    from glider.judging.strategies import STRATEGIES

    shown = {strategy for one in asked.values() for strategy in one.strategies}
    assert shown | {"swap", "mean"} == set(STRATEGIES.names())


def test_the_page_and_the_artefacts_hold_no_texts_and_no_paths(trust, tmp_path):
    judged(tmp_path, "base", able=False)
    judged(tmp_path, "nano", able=True, model=f"fast/{tmp_path}/adapter")
    page = made(trust, tmp_path)
    assert "at most 12 items of each, drawn with seed 7" in page
    results = (tmp_path / "trust/results.json").read_text()
    manifests = (tmp_path / "trust/whole.manifests.jsonl").read_text()
    assert Results.model_validate_json(results).samples["qags"][0] == "s0 q"
    named = {
        (at["system"], at["judge"]["model"])
        for at in (json.loads(line)["settings"] for line in manifests.splitlines())
    }
    assert named == {("base", "embedded/x"), ("nano", "fast/adapter")}
    for text in (page, results, manifests, (tmp_path / "trust/english.json").read_text()):
        assert "private" not in text
        assert str(tmp_path) not in text
        assert str(HERE.parent) not in text


def test_the_slow_systems_see_some_of_what_the_fast_ones_see(trust):
    from glider.gold.sets import drawn

    items = [
        Item(
            sample=Sample.of(f"t{n}", id=f"s{n}"), gold=1.0, scale=(1.0, 5.0), part=f"p{n % 3}",
            cluster="c",
            criterion=Criterion(name="q", question="Good {output}?", rubric={1: "a", 5: "b"}),
        )
        for n in range(200)
    ]  # fmt: skip
    many, few = (drawn(items, limit, seed="7:x") for limit in (150, 8))
    assert {item.sample.id for item in few} < {item.sample.id for item in many}
