"""benchmarks/trust.py: from runs to the page and the small artefacts that are committed."""

import json
import sys
from pathlib import Path

import pytest

from glider import Criterion, Judge, Sample
from glider.backends.scripted import ScriptedBackend
from glider.bench.collect import recorded
from glider.bench.results import Results
from glider.bench.run import judge_items, run_folder
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


def test_the_page_and_the_artefacts_hold_no_texts_and_no_paths(trust, tmp_path):
    criterion = Criterion(name="q", question="Good {output}?", rubric={1: "bad", 5: "good"})
    items = [
        Item(
            sample=Sample.of(f"a private text {n}", id=f"s{n}"), criterion=criterion,
            gold=1.0 + n % 5, scale=(1.0, 5.0), part="q", cluster=f"c{n // 2}",
        )
        for n in range(12)
    ]  # fmt: skip
    labelled = load_set("summeval")
    for name, limit in (("score-first", 12), ("reason-first", 6)):
        backend = ScriptedBackend(lambda r: "5" if len(r.messages[-1].content) % 2 else "1")
        judge_items(
            Judge(backend, format=NanoFormat(explain=False)), items[:limit],
            run_folder(tmp_path / "runs", name, "summeval"),
            settings=recorded(labelled, name, limit=limit, seed=7, judge={}),
        )  # fmt: skip
    words = ["--page", "--runs", tmp_path / "runs", "--out", tmp_path, "--docs", tmp_path / "b.md"]
    trust.main([*map(str, words), "--resamples", "99"])
    page = (tmp_path / "b.md").read_text()
    assert page.startswith("# Benchmarks\n\nThe model that comes with Glider")
    assert "at most 6 to 12 items of each, drawn with seed 7" in page
    assert "| summaries | summeval | Spearman's rho | 12 |" in page
    results = (tmp_path / "trust/results.json").read_text()
    manifests = (tmp_path / "trust/manifests.jsonl").read_text()
    assert Results.model_validate_json(results).samples["summeval"][0] == "s0 q"
    named = {json.loads(line)["settings"]["system"] for line in manifests.splitlines()}
    assert named == {"score-first", "reason-first"}
    for text in (page, results, manifests):
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
