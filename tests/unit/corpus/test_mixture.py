"""From labelled files to two splits: what is drawn, what is left out, and that it is counted."""

import json
from collections import Counter

import pytest
from unit.corpus.cases import LEVELS, labelled

from glider.core.errors import EmptySplit, LeakedBenchmark, SetupError, UnknownName
from glider.corpus.augment import Augment
from glider.corpus.data_card import card, record
from glider.corpus.lengths import estimated_tokens
from glider.corpus.mixing import mix
from glider.corpus.mixture import Mixture, SetShare
from glider.corpus.sources import Source, benchmarks, sources
from glider.gold.sets import load_set

WORDS = [
    "river",
    "stone",
    "cloud",
    "winter",
    "bread",
    "garden",
    "letter",
    "mirror",
    "bridge",
    "candle",
]


def text(n, about="It tells"):
    return f"{about} of number {n}: " + " ".join(
        f"{WORDS[(n * k) % 10]}{about[0]}{n * k}" for k in range(12)
    )


def rows(n, *, start=0, label=lambda n: n % 5 + 1, prompts=None, **more):
    """Records; `prompts` of them share a prompt in turn."""
    return [
        {
            "id": f"r{k}", "input": text(k % (prompts or n) + start, "Write"),
            "output": text(k + start), "label": label(k), "scale": [1, 5],
            "criterion": {"name": "quality", "description": "How good is it?"}, "rubric": LEVELS,
            **{name: value(k) if callable(value) else value for name, value in more.items()},
        }
        for k in range(start, start + n)
    ]  # fmt: skip


def pairs(n, start=5000):
    return [
        {
            "id": f"p{k}", "input": text(k, "Compare"), "outputs": [text(k, "One"), text(k, "Two")],
            "criterion": {"name": "quality", "description": "How good is it?"}, "rubric": LEVELS,
            "label": k % 2,
        }
        for k in range(start, start + n)
    ]  # fmt: skip


def source(folder, name, records, **options):
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    kind = "pairs" if "outputs" in records[0] else "graded"
    return Source(labelled(name, kind=kind, **options), folder)


def made(chosen, settings=None, against=(), **options):
    return mix(chosen, against, settings or Mixture(**options))


def sets_of(examples):
    return Counter(example.set for example in examples)


def test_the_same_settings_give_the_same_splits_and_one_set_more_changes_no_other(tmp_path):
    one, two = (source(tmp_path, n, rows(60, start=s)) for n, s in (("one", 0), ("two", 1000)))
    settings = Mixture(augment=Augment(paraphrase=0.5, names=0.5, scale=0.5), seed=4)
    first, again, both = made([one], settings), made([one], settings), made([one, two], settings)
    assert first.train == again.train and first.dev == again.dev
    assert {e.id: e for e in both.train if e.set == "one"} == {e.id: e for e in first.train}
    assert made([one], settings.model_copy(update={"seed": 5})).train != first.train


def test_every_item_is_somewhere(tmp_path):
    chosen = [source(tmp_path, "one", rows(80, label=lambda n: 5 if n % 4 else 1))]
    found = made(chosen, max_prompt_tokens=300, level_share=0.6)
    (lost,) = found.counts.left_out.values()
    assert (
        len(found.train) + len(found.dev) + sum(lost.values()) == found.counts.loaded["one"] == 80
    )
    assert len({e.id for e in found.train + found.dev}) == len(found.train) + len(found.dev)


def test_a_prompt_is_on_one_side_across_sets_and_clusters(tmp_path):
    one = source(tmp_path, "one", rows(100, prompts=20), cluster="")
    two = source(tmp_path, "two", rows(40), cluster="")
    found = made([one, two], dev=0.2)
    prompt = [{t.messages[1].content.partition("<output>")[0] for t in side}
              for side in (found.train, found.dev)]  # fmt: skip
    assert not prompt[0] & prompt[1]
    assert 0.1 <= len(found.dev) / (len(found.train) + len(found.dev)) <= 0.3


def test_an_instruction_does_not_tie_a_set_together(tmp_path):
    records = rows(60, input="Translate into German.", context=lambda n: text(n, "Source"))
    found = made([source(tmp_path, "one", records, cluster="context")], dev=0.1)
    assert len(found.dev) == 6


def test_what_a_benchmark_holds_is_left_out_and_listed(tmp_path):
    train = source(tmp_path, "one", rows(50))
    same_prompt = [{**r, "output": f"Something else {r['id']}."} for r in rows(10)]
    unseen = source(tmp_path, "far", same_prompt, use="unseen")
    near = source(tmp_path, "near", [{**r, "input": "?"} for r in rows(5, start=20)], use="licence")
    found = made([train], against=[unseen, near])
    assert found.counts.left_out["one"]["in a benchmark (unseen)"] == 10
    assert found.counts.left_out["one"]["in a benchmark (licence)"] == 5
    assert {(o.benchmark, o.place, o.items) for o in found.overlaps} == {
        ("far", "prompt", 10), ("near", "answer", 5),
    }  # fmt: skip


def test_a_prompt_known_from_a_set_that_only_its_licence_keeps_out_may_stay(tmp_path):
    train = source(tmp_path, "one", rows(30))
    other = [{**r, "output": f"Something else {r['id']}."} for r in rows(30)]
    found = made([train], against=[source(tmp_path, "near", other, use="licence")])
    assert "one" not in found.counts.left_out and found.overlaps[0].items == 30


def test_a_level_that_dominates_is_thinned_out(tmp_path):
    chosen = [source(tmp_path, "one", rows(200, label=lambda n: 1 if n % 10 == 0 else 5))]
    found = made(chosen, level_share=0.6, dev=0.1)
    levels = Counter(e.score for e in found.train)
    assert levels[5] == int(1.5 * levels[1])
    assert found.counts.left_out["one"]["of a level that dominates its part"] == 180 - levels[5] - (
        sum(e.score == 5 for e in found.dev)
    )


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"big": 200, "small": 40}),
        ({"cap": 50}, {"big": 50, "small": 40}),
        ({"sets": {"big": SetShare(cap=10)}}, {"big": 10, "small": 40}),
        (
            {"sets": {"big": SetShare(weight=1), "small": SetShare(weight=4)}},
            {"big": 50, "small": 40},
        ),
        ({"size": 120}, {"big": 100, "small": 20}),
        ({"size": 120, "cap": 40}, {"big": 40, "small": 40}),
        ({"size": 120, "sets": {"small": SetShare(weight=5)}}, {"big": 80, "small": 40}),
        ({"size": 480, "copies": 2}, {"big": 400, "small": 80}),
    ],
)
def test_shares(tmp_path, options, expected):
    big = source(tmp_path, "big", rows(200))
    small = source(tmp_path, "small", rows(40, start=1000))
    found = made([big, small], dev=0, **options)
    assert sets_of(found.train) == expected
    assert len({e.id for e in found.train}) == len(found.train)


def test_a_second_use_is_in_other_words(tmp_path):
    found = made([source(tmp_path, "one", rows(30))], dev=0, size=60, copies=2)
    assert len({e.messages[1].content for e in found.train}) == 60


def test_pairs_are_doubled_and_limited(tmp_path):
    chosen = [source(tmp_path, "one", rows(170)), source(tmp_path, "two", pairs(100))]
    found = made(chosen, dev=0, pairs=0.15)
    count = sets_of(found.train)
    assert count == {"one": 170, "two": 30} and 30 / 200 == 0.15
    both = Counter((e.messages[1].content.count("One of"), e.score) for e in found.train)
    assert sum(both.values()) == 200
    sized = sets_of(made(chosen, dev=0, pairs=0.15, size=92).train)
    assert sized["two"] == pytest.approx(0.15 * (sized["one"] + sized["two"]), abs=2)


def test_without_a_share_of_pairs_a_size_is_drawn_in_proportion(tmp_path):
    chosen = [source(tmp_path, "one", rows(180)), source(tmp_path, "two", pairs(20))]
    assert sets_of(made(chosen, dev=0, size=100).train) == {"one": 90, "two": 2 * 10}


def test_other_languages_are_limited(tmp_path):
    chosen = [source(tmp_path, "one", rows(100, lang=lambda n: "de" if n % 2 else "en"))]
    found = made(chosen, dev=0, other_languages=0.2)
    assert Counter(e.lang for e in found.train) == {"en": 50, "de": 12}


def test_reasons_are_limited_in_share_and_repetition(tmp_path):
    short = {"output": lambda n: f"Town number {n} has a mill."}
    reason = "It gives no reason for what it says here."
    same = source(tmp_path, "one", rows(50, rationale=reason, **short))
    own = source(tmp_path, "two", rows(
        50, start=1000, rationale=lambda n: f"It fails to name the town of number {n}.", **short
    ))  # fmt: skip
    found = made([same, own], dev=0, repeats=5, level_share=1.0)
    explained = sets_of([e for e in found.train if e.whole])
    assert explained["one"] == 5 and explained["two"] >= 35
    assert found.counts.bare["one"]["a reason that was used often enough"] >= 30
    few = made([same, own], dev=0, explained=0.1)
    assert sum(e.whole for e in few.train) == 10


def test_without_highlights_the_files_hold_the_same_examples(tmp_path):
    reason = lambda n: f'It says "{text(n)[:30]}" of {WORDS[n % 10]} and no more.'  # noqa: E731
    chosen = [
        source(tmp_path, "one", rows(60, rationale=reason)),
        source(tmp_path, "two", pairs(20)),
    ]
    full, without = (
        made(chosen, augment=Augment(paraphrase=0.5), highlights=h) for h in (True, False)
    )
    for ours, theirs in zip((*full.train, *full.dev), (*without.train, *without.dev), strict=True):
        assert ours.model_copy(update={"completion": ""}) == theirs.model_copy(
            update={"completion": ""}
        )
    quoted = [sum("\n- " in e.completion for e in mixed.train) for mixed in (full, without)]
    assert quoted[0] > 30 and quoted[1] == 0


def test_long_prompts_are_left_out(tmp_path):
    records = rows(40, context=lambda n: "long " * 900 if n < 10 else "short")
    found = made([source(tmp_path, "one", records)], dev=0, max_prompt_tokens=400)
    assert len(found.train) == 30
    assert found.counts.left_out["one"] == {"a prompt that is too long": 10}
    every = mix([source(tmp_path, "one", records)], (), Mixture(dev=0, max_prompt_tokens=400),
                tokens=lambda _text: 1)  # fmt: skip
    assert len(every.train) == 40


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a" * 35, 10), ("山" * 10, 17), ("aé" * 35, 20)]
)
def test_estimated_tokens(text, tokens):
    assert estimated_tokens(text) == tokens


def test_empty_splits_are_named(tmp_path):
    one = source(tmp_path, "one", rows(20))
    with pytest.raises(EmptySplit, match="train split is empty: a prompt that is too long"):
        made([one], max_prompt_tokens=64)
    single = source(tmp_path, "two", rows(20, prompts=1), cluster="input")
    with pytest.raises(EmptySplit, match="dev split is empty"):
        made([single], dev=0.1)
    assert len(made([single], dev=0, level_share=1.0).train) == 20


def test_what_may_not_be_trained_on_is_refused(tmp_path):
    with pytest.raises(SetupError, match="'llmbar' is kept out of training"):
        sources(Mixture(sets={"llmbar": SetShare()}), tmp_path)
    with pytest.raises(SetupError, match="may not be trained on under its licence"):
        sources(Mixture(sets={"shepherd_human": SetShare()}), tmp_path)
    allowed = Mixture(sets={"llmbar": SetShare()}, allow=("llmbar",))
    assert [s.labelled.name for s in sources(allowed, tmp_path)] == ["llmbar"]
    with pytest.raises(UnknownName):
        sources(Mixture(sets={"lmbar": SetShare()}), tmp_path)
    names = {s.labelled.name for s in sources(Mixture(), tmp_path)}
    assert "saf_short_answers" in names and not names & {"hhh_alignment", "llmbar", "summeval"}


def test_the_card_says_what_is_in_the_files(tmp_path):
    chosen = [source(tmp_path, "one", rows(60)), source(tmp_path, "two", pairs(20))]
    found = made(chosen, dev=0.1)
    data = record(found, [s.labelled for s in chosen], settings=Mixture(), files={"a": "0" * 64})
    text = card(data)
    assert data.train.examples == len(found.train) == sum(data.train.by_part.values())
    assert data.train.pairs == sets_of(found.train)["two"]
    assert f"{len(found.train)} examples to train on" in text
    assert "| one | 60 |" in text and "CC0" in text and str(tmp_path) not in text
    assert "| seed | `0` |" in text


@pytest.mark.parametrize("form", ["nano", "glider", "prometheus", "chat-json"])
def test_the_card_counts_pairs_and_quotes_in_any_form(tmp_path, form):
    spans = [{"start": 0, "end": 8}]
    graded = rows(20, rationale=lambda n: f"It is vague about point {n}.", meta={"spans": spans})
    told = "Response 1 states fact {}, response 2 none."
    reasoned = [row | {"rationale": told.format(n)} for n, row in enumerate(pairs(20))]
    chosen = [source(tmp_path, "one", graded), source(tmp_path, "two", reasoned)]
    settings = Mixture(format=form, dev=0, level_share=1)
    found = made(chosen, settings)
    train = record(found, [s.labelled for s in chosen], settings=settings, files={}).train
    assert train.pairs == sets_of(found.train)["two"] > 0
    # Prometheus' form has no quotes; of the others every graded answer has one, and no pair.
    assert train.quoted == (0 if form == "prometheus" else sets_of(found.train)["one"])


def test_what_was_left_out_is_said_benchmarks_first(tmp_path):
    bench = source(tmp_path, "bench", rows(2), use="unseen")
    mine = rows(60, label=lambda n: 9 if n >= 54 else n % 5 + 1)
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(r) + "\n" for r in mine))
    own = Source(labelled("mine"), tmp_path, own=True)
    told = []
    mix([own], [bench], Mixture(cap=20), notify=told.append)
    left = [line for line in told if "left out" in line]
    assert left[0] == "left out: 2 in a benchmark (unseen)"
    assert any(line.startswith("left out: ") and "share" in line for line in left[1:])
    assert left[-1] == "mine: left out, a label outside its scale: 6 (line 55, 56, 57, ...)"


def test_an_empty_split_says_why_before_it_is_an_error(tmp_path):
    told = []
    with pytest.raises(EmptySplit, match="printed above"):
        mix([source(tmp_path, "one", rows(8))], (), Mixture(max_prompt_tokens=64, dev=0),
            notify=told.append)  # fmt: skip
    assert told[-1] == "left out: 8 a prompt that is too long"


def test_an_own_file_that_is_a_benchmark_is_named(tmp_path):
    bench = source(tmp_path, "bench", rows(30), use="unseen")
    own = Source(source(tmp_path, "mine", rows(10)).labelled, tmp_path, own=True)
    with pytest.raises(LeakedBenchmark, match="mine has 10 of bench"):
        mix([own], [bench], Mixture())


def test_an_own_file_takes_no_benchmark_away_by_its_name(tmp_path):
    bench = source(tmp_path, "llmbar", rows(3))
    (tmp_path / load_set("llmbar").data).touch()
    own = Source(bench.labelled, tmp_path, own=True)
    assert [one.labelled.name for one in benchmarks([own], tmp_path)] == ["llmbar"]
    assert benchmarks([bench], tmp_path) == []
