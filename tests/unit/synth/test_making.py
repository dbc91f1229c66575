"""Records from end to end with a teacher that follows its prompts, or does not."""

import gc
import gzip
import json
import re
import tracemalloc
from collections import Counter

import pytest
from synth_teacher import follow

from glider.backends.scripted import ScriptedBackend
from glider.core.errors import (
    AccessRefused,
    BudgetSpent,
    ManifestMismatch,
    RunError,
    Unavailable,
)
from glider.core.generation import Generation
from glider.formats import make_format
from glider.synth.blind import Verifier
from glider.synth.drawer import Drawer
from glider.synth.duplicates import TextIndex
from glider.synth.export import export_synthesis
from glider.synth.funnel import Funnel
from glider.synth.making import make_records
from glider.synth.plan import Plan
from glider.synth.records import STAGES
from glider.synth.settings import SynthExportSettings
from glider.synth.synthesize import records_in

BARE = make_format("nano", explain=False)
SHORT = Plan(words=(40, 60), code=0)


def answered(request):
    return follow(request.messages[-1].content)


def make(folder, script=answered, *, n=60, plan=SHORT, readers=("same",), **options):
    """Make records with a scripted teacher that also reads blind."""
    backend = ScriptedBackend(script)
    others = {"same": backend, "other": ScriptedBackend(script, model="other")}
    verifiers = [Verifier(others[name], BARE) for name in readers]
    made = make_records(
        Drawer(plan), size=n, folder=folder, teacher=backend, verifiers=verifiers, **options
    )
    return made, backend


def test_a_good_teachers_records_are_kept_with_all_that_they_need(tmp_path):
    made, backend = make(tmp_path / "run", readers=("same", "other"), licence="Apache-2.0")
    records = records_in(tmp_path / "run")
    assert {r.number for r in records} == set(range(60))
    assert made.open == 0
    assert made.funnel.kept > 50
    assert {r.draw.kind for r in records if r.kept} == {"single", "pair", "several", "minimal"}
    for record in (r for r in records if r.kept):
        draw = record.draw
        assert len(record.texts) == (2 if draw.kind == "minimal" else 1)
        first = record.texts[0]
        assert set(first.material) >= set(draw.judged_names)
        assert first.right.score == draw.target
        assert first.wrong.score == draw.wrong
        assert first.wrong.reasoning != first.right.reasoning
        for text in record.texts:
            for mark in text.right.highlights:
                (span,) = mark.spans[:1]
                assert text.material[span.field][span.start : span.end] == mark.phrase
            assert [c.verdict for c in text.checks] == ["agrees", "agrees"]
        if draw.kind == "minimal":
            one, two = (t.material[draw.judged_names[0]] for t in record.texts)
            (a,), (b,) = (t.right.highlights[0].spans for t in record.texts)
            assert one != two
            assert one[: a.start] == two[: b.start]
            assert one[a.end :] == two[b.end :]
            assert record.texts[1].right.score == draw.second
            assert record.texts[1].wrong.score == draw.target
    # Every call is in the journal, with what it used.
    calls = [json.loads(line) for line in (tmp_path / "run/calls.jsonl").read_text().splitlines()]
    assert len(calls) == len(backend.requests) + sum(
        line["step"].startswith(("blind-1", "twin-blind-1")) for line in calls
    )
    assert made.funnel.usage.completion_tokens > 0
    assert json.loads((tmp_path / "run/manifest.json").read_text())["licence"] == "Apache-2.0"


def test_the_blind_reader_is_not_told_the_target(tmp_path):
    _, backend = make(tmp_path / "run", n=20)
    blind = [r for r in backend.requests if "blind" in r.id]
    assert blind
    assert not any("deserves" in r.messages[-1].content for r in blind)
    assert all(r.decoding.temperature == 0 for r in blind)


def test_the_funnel_adds_up_and_tells_what_was_seen(tmp_path):
    def unreliable(request):
        answer = answered(request)
        number = int(request.id.split("-")[0])
        if number % 5 == 1 and "material" in request.id:
            return "I would be glad to."
        if number % 5 == 2 and "blind" in request.id:
            scores = [int(s) for s in (answer[7:],)]
            return f"Score: {9 if scores[0] == 0 else 0}"
        if number % 5 == 3 and "right" in request.id:
            return "- words that are in no text at all\nReason: It is as good as it can be."
        return answer

    made, _ = make(tmp_path / "run", unreliable, n=100)
    funnel = made.funnel
    left = dict(funnel.left())
    assert [name for name, _ in funnel.left()] == ["drawn", *STAGES]
    assert left["drawn"] == 100
    assert left["verbatim"] == funnel.kept
    assert funnel.kept + sum(funnel.lost.values()) == 100
    assert sorted(left.values(), reverse=True) == list(left.values())
    assert {stage for stage, _ in funnel.lost} >= {"written", "verified", "verbatim"}
    data = json.loads((tmp_path / "run/funnel.json").read_text())
    assert all(loss["seen"] for loss in data["lost"])
    assert Funnel.of(records_in(tmp_path / "run")).data() == data
    for noise in data["noise"].values():
        shares = noise["verdicts"]
        assert sum(v["share"] for v in shares.values()) == pytest.approx(1)
        assert all(v["low"] <= v["share"] <= v["high"] for v in shares.values())
        read = sum(cell["texts"] for cell in noise["confusion"])
        assert read <= shares["agrees"]["n"]


@pytest.mark.parametrize(
    ("answer", "stage"),
    [
        ("I would be glad to help you with that.", "written"),
        ("<!doctype html><html><body>502</body></html>", "written"),
        ("", "written"),
    ],
)
def test_a_teacher_that_answers_something_else_keeps_nothing(tmp_path, answer, stage):
    made, backend = make(tmp_path / "run", lambda _: answer, n=12)
    assert made.funnel.kept == 0
    assert {at for at, _ in made.funnel.lost} == {stage}
    assert len(backend.requests) == 12  # nothing more is paid


GERMAN = (
    "Das Schiff ist nicht in dem Hafen und die Leute warten auf den Kapitän, der mit einer Mappe "
    "zu der Halle ging, um das Geld für die Fracht von dem Makler zu holen, und sie sind müde."
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I'm sorry, but I can't help with that request.", "refusal"),
        ("<!doctype html><html><body>The ship was late, and people waited.</body></html>", "HTML"),
        (GERMAN, "in another language"),
        ("It was late and the ship was there. [another 50 words]", "elision mark"),
    ],
)
def test_a_teacher_whose_texts_are_none_keeps_nothing(tmp_path, text, reason):
    def script(request):
        judged = re.search(r"^Write (.+?) so that", request.messages[-1].content, re.M)[1]
        answer = answered(request)
        return re.sub(rf"<{judged}>\n.*?\n</", f"<{judged}>\n{text}\n</", answer, flags=re.DOTALL)

    groups = ("clarity", "structure", "tone")  # elsewhere a refusal may be the right answer
    plan = Plan(kinds={"single": 1}, words=(40, 60), code=0, criterion_groups=groups)
    made, backend = make(tmp_path / "run", script, n=8, plan=plan)
    assert made.funnel.kept == 0
    assert all(stage == "legal" and reason in why for stage, why in made.funnel.lost)
    assert sum(made.funnel.lost.values()) == 8 == len(backend.requests)
    with pytest.raises(RunError, match="no record that was kept"):
        export_synthesis(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_teacher_that_writes_one_text_every_time_keeps_one_of_them(tmp_path):
    plan = Plan(kinds={"single": 1}, words=(40, 60), code=0, scales={"0-1": 1})
    text = "Here people found level 1 of it, said the report. " + " ".join(
        f"The {word} of the harbour is {number} and it was there for us."
        for number, word in enumerate(["crane", "quay", "office"])
    )

    def same(request):
        answer = answered(request)
        if "material" not in request.id:
            return answer
        judged = re.search(r"^Write (.+?) so that", request.messages[-1].content, re.M)[1]
        return re.sub(rf"<{judged}>\n.*?\n</", f"<{judged}>\n{text}\n</", answer, flags=re.DOTALL)

    made, _ = make(tmp_path / "run", same, n=40, plan=plan)
    assert made.funnel.kept == 1
    assert ("distinct", "near duplicate of another text") in made.funnel.lost


def off_by(levels):
    def script(request):
        answer = answered(request)
        if "blind" not in request.id:
            return answer
        score = int(answer.removeprefix("Score: "))
        return f"Score: {score + levels if score + levels <= 5 else score - levels}"

    return script


@pytest.mark.parametrize(
    ("options", "levels", "kept", "rewritten"),
    [
        ({}, 1, True, False),
        ({"rewrite": True}, 1, True, True),
        ({"keep_off_by_one": False}, 1, False, False),
        ({"rewrite": True}, 2, False, False),
    ],
)
def test_what_a_blind_reading_of_another_level_comes_to(tmp_path, options, levels, kept, rewritten):
    plan = Plan(kinds={"single": 1}, words=(40, 60), code=0, scales={"1-5": 1}, **options)
    made, _ = make(tmp_path / "run", off_by(levels), n=10, plan=plan)
    records = records_in(tmp_path / "run")
    assert all(r.kept is kept for r in records)
    for record in (r for r in records if r.kept):
        (text,) = record.texts
        assert text.rewritten is rewritten
        assert (text.right.score != text.target) is rewritten
        assert text.wrong.score != text.right.score
    verdict = "off by one" if levels == 1 else "contradicts"
    (verdicts,) = made.funnel.verdicts.values()
    assert verdicts == Counter({verdict: 10})


def test_a_spent_budget_leaves_records_open_and_resuming_pays_only_for_what_is_missing(tmp_path):
    asked = []

    def limited(request):
        asked.append(request.id)
        return BudgetSpent("spent") if len(asked) > 70 else answered(request)

    made, _ = make(tmp_path / "run", limited, n=60)
    assert made.open > 0
    assert 1 <= made.failed["budget_spent"] <= 8  # those that were under way
    made, backend = make(tmp_path / "run", n=60, resume=True)
    assert made.open == 0
    again = [r.id for r in backend.requests]
    assert not set(again) & set(asked[:70])
    whole, _ = make(tmp_path / "whole", n=60)
    by_number = {r.number: r for r in records_in(tmp_path / "run")}
    assert by_number == {r.number: r for r in records_in(tmp_path / "whole")}
    assert whole.funnel.data() == made.funnel.data()


REAL = {
    "id": "r1", "input": "How do I get a refund for the ferry that did not sail on Sunday?",
    "output": "Write to the office at the pier with the number of your ticket. " * 3,
    "criterion": {"name": "helpful", "description": "Does the {output} help with the {input}?"},
    "rubric": {"1": "It helps nobody.", "2": "It helps a little.", "3": "It helps at once."},
    "scale": [1, 3], "label": 3,
}  # fmt: skip


def real(folder):
    """A file of labelled records, one of which is no level of its rubric."""
    rows = [REAL, {**REAL, "id": "r2", "label": 1}, {**REAL, "id": "r3", "label": 2.4}]
    (folder / "real.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "real.jsonl"


def test_a_document_has_a_score_under_each_criterion_of_its_profile(tmp_path):
    plan = Plan(kinds={"profile": 1}, code=0)
    made, _ = make(tmp_path / "run", n=12, plan=plan)
    records = records_in(tmp_path / "run")
    assert made.funnel.kept == 12
    for record in records:
        assert [t.target for t in record.texts] == [a.target for a in record.draw.aspects]
        assert [t.criterion.heading for t in record.texts] == [
            "Grammar and vocabulary", "Discourse", "Interaction",
        ]  # fmt: skip
        assert len({text.material["TRANSCRIPT"] for text in record.texts}) == 1
        assert all(text.right.score == text.target for text in record.texts)
        assert all(check.verdict == "agrees" for _, check in record.checks)
    assert made.funnel.data()["kept"]["criteria"] == 3
    folder = tmp_path / "out"
    exported = export_synthesis(tmp_path / "run", folder, SynthExportSettings(people=0))
    assert exported.labelled == 36
    with gzip.open(folder / "labelled.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    assert len({row["id"] for row in rows}) == 36
    # The criteria of a document share what was asked, so they are one cluster everywhere.
    assert len({row["context"] for row in rows}) == len({row["output"] for row in rows}) == 12
    assert {row["criterion"]["name"] for row in rows} == {
        "grammar-and-vocabulary", "discourse", "interaction",
    }  # fmt: skip


def test_a_criterion_that_a_document_misses_is_left_out_and_counted(tmp_path):
    def misses(request):
        answer = answered(request)
        if "2-blind" in request.id:
            level = int(answer.removeprefix("Score: "))
            return f"Score: {1 if level > 3 else 5}"
        return answer

    made, _ = make(tmp_path / "run", misses, n=8, plan=Plan(kinds={"profile": 1}, code=0))
    assert made.funnel.kept == 8
    assert all(len(record.texts) == 2 for record in records_in(tmp_path / "run"))
    (lost,) = made.funnel.data()["kept"]["criteria lost"]
    assert lost == {"stage": "verified", "reason": "contradicts", "criteria": 8}


def test_real_texts_are_moved_to_other_subjects_with_their_label_kept_or_flipped(tmp_path):
    plan = Plan(kinds={"adapted": 1}, real=str(real(tmp_path)), code=0)
    made, backend = make(tmp_path / "run", n=24, plan=plan)
    records = [r for r in records_in(tmp_path / "run") if r.kept]
    assert len(records) == made.funnel.kept > 20
    flipped = [r for r in records if r.draw.target != r.draw.original.score]
    assert 5 < len(flipped) < 19
    assert {r.draw.original.id for r in records} == {"r1", "r2"}
    assert all("at the pier" in q.messages[-1].content for q in backend.requests if "mat" in q.id)
    (noise,) = made.funnel.data()["noise"].values()  # where the label was kept, it is people's
    assert noise["kinds"]["adapted, flipped"]["agrees"]["n"] == len(flipped)
    assert noise["kinds"]["adapted, label kept"]["agrees"]["share"] == 1
    export_synthesis(tmp_path / "run", tmp_path / "out", SynthExportSettings(people=0))
    assert "| agrees, adapted, flipped | 1.000 |" in (tmp_path / "out/card.md").read_text()
    with gzip.open(tmp_path / "out/labelled.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    assert {row["meta"]["adapted_from"]["id"] for row in rows} == {"r1", "r2"}

    def lazy(request):
        answer = answered(request)
        if "material" not in request.id:
            return answer
        return re.sub(r">\nHere .*?\n</", f">\n{REAL['output']}\n</", answer, flags=re.DOTALL)

    made, _ = make(tmp_path / "lazy", lazy, n=4, plan=plan)
    assert dict(made.funnel.lost) == {("distinct", "still the real text"): 4}


def test_cases_made_by_hand_are_written_to_their_brief(tmp_path):
    plan = Plan(kinds={"crafted": 1}, families={"injection": 1, "toxicity": 1}, words=(40, 60))
    made, backend = make(tmp_path / "run", n=30, plan=plan)
    assert made.funnel.kept == 30
    records = records_in(tmp_path / "run")
    assert {r.draw.source for r in records} == {"injection", "toxicity"}
    asked = {int(q.id.split("-")[0]): q for q in backend.requests if "material" in q.id}
    for record in records:
        assert f"The case: {record.draw.brief}" in asked[record.number].messages[-1].content
        assert "{" not in record.draw.brief
        assert record.draw.target in (0, 1)


@pytest.mark.parametrize(
    ("kind", "readers"),
    [("single", ("same",)), ("several", ("same",)), ("minimal", ()), ("pair", ()),
     ("profile", ("same",)), ("crafted", ()), ("adapted", ())],
)  # fmt: skip
def test_a_small_teacher_writes_in_steps_and_learns_of_the_level_last(tmp_path, kind, readers):
    plan = Plan(
        kinds={kind: 1}, writing="stepwise", words=(40, 60), code=0, scales={"1-5": 1},
        real=str(real(tmp_path)),
    )  # fmt: skip
    made, backend = make(tmp_path / "run", n=8, plan=plan, readers=readers)
    kept = [r for r in records_in(tmp_path / "run") if r.kept]
    assert len(kept) >= 6, made.funnel.lost
    for record in kept:
        draw = record.draw
        assert set(record.texts[0].material) == {
            name
            for role, tag in draw.tags.items()
            for name in (draw.judged_names if role == draw.judged else (tag,))
        }
        levels = draw.criterion.rubric.levels
        said = {a.criterion.rubric.levels[a.target] for a in draw.scored if kind != "pair"}
        said |= {levels[draw.level], levels[draw.second]} if kind == "pair" else set()
        for request in backend.requests:
            number, _, step = request.id.partition("-")
            prompt = "\n".join(message.content for message in request.messages)
            if int(number) == record.number and step in ("facts", *draw.tags):
                assert draw.criterion.question not in prompt
                assert not any(level in prompt for level in said if level not in draw.brief)
    if kind == "pair":
        assert all(len(set(record.texts[0].material.values())) > 1 for record in kept)


LABELLED = [
    {
        "id": f"real-{n}", "input": f"Write of number {n}.", "label": 1 + 4 * (n % 2),
        "output": f"Here people found level {1 + 4 * (n % 2)} of it.\n" + " ".join(f"{w}{n}" for w in "abcdefghijklmnop"),
        "scale": [1, 5], "criterion": {"name": "care", "description": "Is the {output} careful?"},
        "rubric": {str(s): f"So careful that {s} people nod." for s in range(1, 6)},
    }
    for n in range(8)
]  # fmt: skip


def test_a_real_text_and_its_twin_are_read_against_what_people_said(tmp_path):
    (tmp_path / "real.jsonl").write_text("\n".join(map(json.dumps, LABELLED)))
    plan = Plan(kinds={"edited": 1}, real=str(tmp_path / "real.jsonl"), code=0)

    def strict(request):
        answer = answered(request)
        return "Score: 1" if answer == "Score: 5" and "h0 " in str(request.messages) else answer

    made, backend = make(tmp_path / "run", strict, n=40, plan=plan)
    records = records_in(tmp_path / "run")
    kept = {r.draw.original.id: r for r in records if r.kept}
    assert len(kept) > 4, made.funnel.lost
    # Of each text there is one record; a second one is a near duplicate.
    assert len(kept) == made.funnel.kept
    assert not any("material" in request.id for request in backend.requests)
    texts = {record["id"]: record for record in LABELLED}
    for name, record in kept.items():
        first, twin = record.texts
        (output,) = record.draw.judged_names
        assert first.material[output] == texts[name]["output"]
        assert first.target == texts[name]["label"] != twin.target
        assert twin.material[output] != first.material[output]
    kinds = made.funnel.kinds_read(next(iter(made.funnel.verdicts)))
    assert kinds == ["real, edited", "real, people's label"]
    noise = next(iter(made.funnel.data()["noise"].values()))
    cells = noise["confusion with people's labels"]
    read = Counter()
    for record in records:
        for target, check in record.checks:
            if target == record.draw.original.score and check.score is not None:
                read[target, check.score] += 1
    assert {(c["target"], c["read"]): c["texts"] for c in cells} == read
    export_synthesis(tmp_path / "run", tmp_path / "out")
    assert "label that people gave" in (tmp_path / "out/card.md").read_text()


def test_texts_of_several_models_are_judged_by_the_teacher(tmp_path):
    other = ScriptedBackend(answered, model="weak")
    plan = Plan(kinds={"single": 1, "minimal": 1}, words=(40, 60), code=0)
    _, backend = make(tmp_path / "run", n=24, plan=plan, writers=[other])
    records = records_in(tmp_path / "run")
    wrote = Counter(record.writer for record in records if record.kept)
    assert set(wrote) == {"", "scripted/weak"}
    assert min(wrote.values()) > 5
    assert {r.id.split("-")[1] for r in other.requests} == {"material"}
    by_other = {int(r.id.split("-")[0]) for r in other.requests}
    assert by_other == {r.number for r in records if r.writer}
    assert not any(int(r.id.split("-")[0]) in by_other for r in backend.requests if "mat" in r.id)
    with pytest.raises(ManifestMismatch, match="writers"):
        make(tmp_path / "run", n=24, plan=plan, resume=True)


@pytest.mark.parametrize("writing", ["together", "stepwise"])
def test_the_two_answers_of_a_pair_are_by_different_models(tmp_path, writing):
    weak, weaker = (ScriptedBackend(answered, model=name) for name in ("weak", "weaker"))
    plan = Plan(
        kinds={"pair": 1}, scales={"0-1": 1}, words=(40, 60), code=0, writing=writing, seed=3
    )
    # The scripted reader knows no pairs that are written stepwise.
    readers = ("same",) if writing == "together" else ()
    made, backend = make(tmp_path / "run", n=24, plan=plan, readers=readers, writers=[weak, weaker])
    kept = [record for record in records_in(tmp_path / "run") if record.kept]
    assert len(kept) > 12, made.funnel.lost
    drawn = {(record.writer, record.second_writer) for record in kept}
    names = {"", "scripted/weak", "scripted/weaker"}
    assert drawn == {(a, b) for a in names for b in names if a != b}
    asked = {
        (int(number), step): name
        for name, model in (("", backend), ("scripted/weak", weak), ("scripted/weaker", weaker))
        for number, _, step in (request.id.partition("-") for request in model.requests)
    }
    first, second = ("material", "second") if writing == "together" else ("level-0", "level-1")
    for record in kept:
        assert asked[record.number, first] == record.writer
        assert asked[record.number, second] == record.second_writer
        assert asked[record.number, "right"] == ""
        if writing == "together":
            models = {"": backend, "scripted/weak": weak, "scripted/weaker": weaker}
            requests = models[record.second_writer].requests
            prompt = next(r for r in requests if r.id == f"{record.number}-second").messages[-1]
            texts = record.texts[0].material
            assert texts["output 1"] not in prompt.content
            told = [text for name, text in texts.items() if not name.startswith("output ")]
            assert all(text in prompt.content for text in told)
    export_synthesis(tmp_path / "run", tmp_path / "out")
    with gzip.open(tmp_path / "out/labelled-pairs.jsonl.gz", "rt") as file:
        metas = {(m := json.loads(line)["meta"])["seed"][1]: m for line in file}
    for record in kept:
        both = [name or "scripted/script" for name in (record.writer, record.second_writer)]
        assert metas[record.number]["writers"] == both
    assert sum(n for who, n in made.funnel.by["writer"].items() if " and " in who) == len(kept)


def test_a_run_of_glider_0_1_goes_on_with_one_writer_a_pair(tmp_path):
    other = ScriptedBackend(answered, model="weak")
    plan = Plan(kinds={"pair": 1}, words=(40, 60), code=0)
    make(tmp_path / "run", n=1, plan=plan, writers=[other])
    path = tmp_path / "run/manifest.json"
    manifest = json.loads(path.read_text())
    assert manifest.pop("two_writers") is True
    path.write_text(json.dumps(manifest))
    make(tmp_path / "run", n=12, plan=plan, writers=[other], resume=True)
    assert {r.second_writer for r in records_in(tmp_path / "run") if r.number} == {None}
    assert not any(r.id.endswith("-second") for r in other.requests if not r.id.startswith("0-"))


def test_texts_that_fail_a_free_check_are_written_anew_as_often_as_the_plan_says(tmp_path):
    def at_last(request):
        answer = answered(request)
        return "I would be glad to." if request.id.endswith(("material", "al-1")) else answer

    plan = Plan(kinds={"single": 1}, words=(40, 60), code=0)
    made, _ = make(tmp_path / "two", at_last, n=4, plan=plan.model_copy(update={"candidates": 2}))
    assert made.funnel.lost[
        "written", "the answer is not the texts that were asked for"
    ] == 4  # fmt: skip
    plan = plan.model_copy(update={"candidates": 3})
    made, backend = make(tmp_path / "three", at_last, n=4, plan=plan)
    assert made.funnel.kept == 4
    tries = [r for r in backend.requests if r.id.startswith("0-material")]
    assert len({r.decoding.seed for r in tries}) == len(tries) == 3
    # What was paid for is taken up on resume, try by try.
    (tmp_path / "three/records.jsonl").unlink()
    made, backend = make(tmp_path / "three", n=4, plan=plan, resume=True)
    assert made.funnel.kept == 4
    assert backend.requests == []


def test_a_wrong_key_ends_at_once_and_a_dead_engine_soon(tmp_path):
    with pytest.raises(AccessRefused):
        make(tmp_path / "key", lambda _: AccessRefused("no such key"), n=500)
    made, backend = make(tmp_path / "dead", lambda _: Unavailable("no connection"), n=500)
    assert made.open == 500
    assert made.failed == {"unavailable": len(backend.requests)}
    assert 20 <= len(backend.requests) < 28


def test_a_folder_is_continued_by_the_same_plan_and_models_alone(tmp_path):
    make(tmp_path / "run", n=5)
    with pytest.raises(ManifestMismatch, match=r"plan\.seed"):
        make(tmp_path / "run", n=5, plan=SHORT.model_copy(update={"seed": 9}), resume=True)
    with pytest.raises(ManifestMismatch, match="verifiers"):
        make(tmp_path / "run", n=5, readers=(), resume=True)
    made, _ = make(tmp_path / "run", n=9, resume=True)  # a larger size draws on
    assert made.funnel.drawn == 9


def test_without_a_verifier_there_is_no_noise_and_records_are_kept(tmp_path):
    made, backend = make(tmp_path / "run", n=10, readers=())
    assert made.funnel.kept > 5
    assert made.funnel.data()["noise"] == {}
    assert not any("blind" in r.id for r in backend.requests)


def test_a_thought_is_no_part_of_an_answer(tmp_path):
    def thinking(request):
        answer = answered(request)
        opened = answer if answer.startswith(request.opening) else request.opening + answer
        return Generation(text=f"<think>Score: 9?</think>\n{opened}")

    made, _ = make(tmp_path / "run", thinking, n=5)
    assert made.funnel.kept == 5


def test_the_same_said_in_another_order_is_a_duplicate_by_vectors_and_not_by_words():
    text = "The ferry left at noon. Nobody had told the baker. Her bread went to the school. "
    other = "Her bread went to the school. The ferry left at noon. Nobody had told the baker. "
    different = "Tax returns are due in May and a form is sent to every household by the office."
    by_words, by_vectors = TextIndex(0.9), TextIndex(0.9, 0.99)
    for n, index in enumerate((by_words, by_vectors)):
        assert index.claim(1, [text])
        assert index.claim(2, [other]) is (n == 0)
        assert index.claim(3, [different])
        index.settle(1, kept=False)
    assert by_vectors.claim(4, [other])  # what is not kept blocks nothing
    for number in range(5, 300):  # the table grows
        by_vectors.claim(number, [f"{number} {number * 7} text about {number * 13}"])
    assert not by_vectors.claim(300, [text])


def test_memory_does_not_grow_with_the_records(tmp_path):
    """What is held after many records: a byte, counts and 256 bytes of hashes for each kept one."""

    class Forgetful(ScriptedBackend):
        def submit(self, request):
            self.requests.clear()
            return super().submit(request)

    plan = Plan(kinds={"single": 1}, words=(40, 45), code=0, domain_groups=("finance",))
    held = {}
    for n in (20, 100):
        backend = Forgetful(answered)
        tracemalloc.start()
        made = make_records(Drawer(plan), size=n, folder=tmp_path / str(n), teacher=backend)
        gc.collect()
        held[n] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert made.funnel.drawn == n
    # A record in memory is 5 kB and more.
    assert held[100] - held[20] < 80 * 2000, held
