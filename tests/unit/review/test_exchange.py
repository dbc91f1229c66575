"""Answers go out and come back as they were; other commands read them."""

import json
import random
import shutil

import pytest
from in_process import glider
from review_runs import HOSTILE, answered, begun, graded_run, pair_run

from glider.core.errors import DataError, SetupError, UnknownName
from glider.core.judgments import Span
from glider.gold.own import own_labels
from glider.gold.records import read
from glider.review.answered import read_answered
from glider.review.answers import read_people
from glider.review.export import export_answers, to_utf16
from glider.review.foreign import from_utf16
from glider.review.imports import import_answers, merge_answers
from glider.review.records import labelled_rows

KEPT = ("item", "score", "preferred", "spans", "note", "content")


def answers_of(run):
    return sorted(
        tuple(getattr(answer, key) for key in ("person", *KEPT))
        for _, _, answer in read_answered(run).each("blind")
    )


@pytest.fixture
def hostile(tmp_path):
    """Two people's scores, marks and notes on texts of every kind."""
    run = graded_run(tmp_path / "run", texts=list(HOSTILE.values()), per_prompt=1)
    review, rng = begun(run, mode="label"), random.Random(2)
    for drawn in review.plan.items:
        text = review.items[drawn.id].sample["output"]
        for person in ("ana", "ben"):
            a, b = sorted(rng.sample(range(len(text) + 1), 2))
            answered(run, person, drawn, score=rng.randint(1, 5),
                 spans=(Span(field="output", start=a, end=b),),
                 note=rng.choice(["", "so 😀, \"quoted\"\nand more; =1+1", "ok"]))  # fmt: skip
    return run


def fresh(run, to):
    """The same run without its review."""
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("review"))
    return to


@pytest.mark.parametrize("to", ["csv", "label-studio", "w3c", "inspect"])
def test_there_and_back(hostile, tmp_path, to):
    file = export_answers(hostile, to, tmp_path / "answers")
    other = fresh(hostile, tmp_path / "other")
    assert import_answers(other, file) == (20, 0, ())
    assert answers_of(other) == answers_of(hostile)
    assert import_answers(other, file) == (0, 20, ())
    assert import_answers(hostile, file) == (0, 20, ())


@pytest.mark.parametrize("to", ["csv", "label-studio", "w3c", "inspect"])
def test_pairs_there_and_back(tmp_path, to):
    run = pair_run(tmp_path / "run", 3)
    for drawn, better in zip(
        begun(run, "ana").plan.items, ["output 1", "output 2", ""], strict=True
    ):
        answered(run, "ana", drawn, preferred=better)
    other = fresh(run, tmp_path / "other")
    assert import_answers(other, export_answers(run, to, tmp_path / "x")) == (3, 0, ())
    assert answers_of(other) == answers_of(run)
    assert [row.data["label"] for row in labelled_rows(other)] == [0, 1, 0.5]


def test_label_studio_counts_in_utf16(hostile, tmp_path):
    tasks = json.loads(export_answers(hostile, "label-studio", tmp_path / "x").read_text())
    some = 0
    for task in tasks:
        text = task["data"]["output"].encode("utf-16-le")
        for annotation in task["annotations"]:
            for part in annotation["result"]:
                if part["type"] == "labels":
                    value = part["value"]
                    cut = text[2 * value["start"] : 2 * value["end"]]
                    assert cut.decode("utf-16-le") == value["text"]
                    some += value["end"] - value["start"] > len(value["text"])
    assert some  # texts with signs of two units among them


@pytest.mark.parametrize("text", HOSTILE.values())
def test_units_and_points(text):
    for point in range(len(text) + 1):
        unit = len(text[:point].encode("utf-16-le")) // 2
        assert (to_utf16(text, point), from_utf16(text, unit)) == (unit, point)


def test_web_annotations_quote_what_they_point_at(hostile, tmp_path):
    lines = export_answers(hostile, "w3c", tmp_path / "x").read_text().strip().split("\n")
    items = {item.id: item.item.sample for item in read_answered(hostile).items}
    marks = [m for line in lines if (m := json.loads(line))["motivation"] == "highlighting"]
    assert len(marks) == 20 and len(lines) == 40
    for mark in marks:
        place, quote = mark["target"]["selector"]
        text = items[mark["target"]["source"].split(":")[-1].split("#")[0]]["output"]
        assert text[place["start"] : place["end"]] == quote["exact"]
        assert text[: place["start"]].endswith(quote["prefix"])


def test_inspect_records_have_one_value_for_each_sample(hostile, tmp_path):
    lines = export_answers(hostile, "inspect", tmp_path / "x").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len({record["id"] for record in records}) == len(records) == len(HOSTILE)
    for record in records:
        by = record["metadata"]["people"]["quality"]
        assert record["value"] == sum(by.values()) / 2


def test_records_are_read_as_gold_with_ratings_spans_and_notes(hostile, tmp_path):
    file = export_answers(hostile, "records", tmp_path / "mine.jsonl")
    loaded = read(own_labels(file), file)
    gold = {item.sample.id: item for item in loaded.items}
    answered = read_answered(hostile).items
    assert len(gold) == len(answered)
    for item in answered:
        found = gold[item.item.sample.id]
        scores = [answer.score for answer in item.blind.values()]
        assert found.gold == sum(scores) / 2 and list(found.ratings) == scores
        assert found.criterion.rubric == item.item.criterion.rubric
        assert found.sample.judged[0].text == item.item.sample["output"]
        marked = {n for a in item.blind.values() for s in a.spans for n in range(s.start, s.end)}
        assert {n for s in found.spans for n in range(s.start, s.end)} == marked
        notes = [answer.note for answer in item.blind.values() if answer.note]
        assert found.reason == ("\n".join(notes) or None)


def test_what_half_of_the_people_marked_is_gold(tmp_path):
    run = graded_run(tmp_path / "run", 1)
    (drawn,) = begun(run, "a", "b", "c", mode="label").plan.items
    for person, end in (("a", 4), ("b", 11), ("c", 0)):
        spans = (Span(field="output", start=0, end=end),) if end else ()
        answered(run, person, drawn, score=3, spans=spans)
    (record,) = (row.data for row in labelled_rows(run))
    assert record["meta"]["spans"] == [{"start": 0, "end": 4}]
    assert record["label"] == 3 and record["annotators"] == [3, 3, 3]


def test_a_hand_made_csv_and_what_is_left_out(tmp_path):
    run = graded_run(tmp_path / "run", 4)
    file = tmp_path / "labels.csv"
    file.write_text(
        "sample_id,person,score,note\ns0,Ana@example.org,4,fine\ns1,Ana@example.org,9,\n"
        "s9,ben k,2,\ns2,ben k,,\n"
    )
    ended = glider("review", "import", run, file, cwd=tmp_path)
    assert ended.returncode == 0 and "1 answers taken" in ended.stderr
    for said in ("rubric does not have", "no such item", "no score"):
        assert said in ended.stderr
    assert set(read_people(run)) == {"Ana", "ben-k"}
    file.write_text("id,label\ns0,4\n")
    with pytest.raises(DataError, match="no column 'person'"):
        import_answers(run, file)
    file.write_text('[{"data": {}}, 3]')
    with pytest.raises(DataError, match="no Label Studio export"):
        import_answers(run, file)
    file.write_text('{"id": "s0"}')
    with pytest.raises(DataError, match="no Label Studio export, Web Annotations, "):
        import_answers(run, file)
    with pytest.raises(UnknownName, match="label-studio"):
        export_answers(run, "labelstudio")


def test_copies_of_a_review_are_merged_and_conflicts_named(tmp_path):
    run = graded_run(tmp_path / "run", 4)
    one, two, three, four = begun(run).plan.items
    answered(run, "ana", one, score=1)
    other = tmp_path / "other"
    shutil.copytree(run, other)
    answered(run, "ana", two, score=2)
    answered(other, "ana", three, score=3)
    answered(other, "ben", one, score=4)
    answered(run, "ana", four, score=5, at="2026-11-20T12:00:00")
    answered(other, "ana", four, score=1, at="2026-11-20T11:00:00")
    taken, conflicts = merge_answers(run, other)
    assert taken == 3 and conflicts == (f"ana, {four.id}, blind",)
    people = read_people(run)
    assert [people["ana"].blind(d.id).score for d in (one, two, three, four)] == [1, 2, 3, 5]
    assert people["ben"].blind(one.id).score == 4
    assert merge_answers(run, other)[0] == 0
    begun(graded_run(tmp_path / "apart", 4))
    with pytest.raises(SetupError, match="another review"):
        merge_answers(run, tmp_path / "apart")


def test_annotations_and_scores_of_other_tools(tmp_path):
    run = graded_run(tmp_path / "run", texts=["one two three two", "four"], per_prompt=1)
    begun(run, "ana", mode="label")
    quote = {"type": "TextQuoteSelector", "exact": "three"}
    page = {"type": "AnnotationPage", "items": [
        {"id": "1", "creator": "ana", "motivation": "assessing", "target": "s0",
         "body": {"type": "TextualBody", "purpose": "assessing", "value": 4}},
        {"id": "2", "creator": "ana", "target": {"source": "s0", "selector": quote},
         "body": {"type": "TextualBody", "value": "this word"}},
        {"id": "3", "creator": "ben", "target": "s0",
         "body": {"type": "TextualBody", "purpose": "assessing", "value": 2}},
        {"id": "4", "creator": "ben",
         "target": {"source": "s0", "selector": {**quote, "exact": "two"}}},
    ]}  # fmt: skip
    (tmp_path / "page.json").write_text(json.dumps(page))
    left = ("1 left out: a quote that its text does not have once",)
    assert import_answers(run, tmp_path / "page.json") == (1, 0, left)
    (given,) = answers_of(run)
    assert given[2] == 4 and given[5] == "this word" and given[4][0].start == 8
    scores = tmp_path / "scores.jsonl"
    lines = [
        {"id": "s0", "value": 3},
        {"id": "s1", "value": {"quality": 5}},
        {"id": "s1", "value": "C"},
    ]
    scores.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert import_answers(run, scores) == (2, 0, ("1 left out: no score",))
    assert {(a[0], a[2]) for a in answers_of(run)} == {("ana", 4), ("someone", 3), ("someone", 5)}


def test_a_data_set_folder_is_read_by_datasets_and_by_the_commands(hostile, tmp_path):
    folder = export_answers(hostile, "dataset", tmp_path / "people")
    assert export_answers(hostile, "dataset", folder) == folder  # again, in its place
    by_run = own_labels(hostile).load(hostile.parent).items
    by_folder = own_labels(folder).load(folder.parent).items
    assert by_folder == by_run
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    loaded = datasets.Dataset.from_parquet(str(folder / "train.parquet"), cache_dir=str(tmp_path))
    assert sorted(loaded["output"]) == sorted(HOSTILE.values())


@pytest.mark.slow
def test_inspect_ai_scores_its_samples_with_peoples_answers(hostile, tmp_path):
    inspect_ai = pytest.importorskip("inspect_ai", reason="inspect-ai is not installed")
    from inspect_ai.dataset import Sample as InspectSample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import mean, precomputed_scores
    from inspect_ai.solver import solver

    @solver
    def says_nothing():
        async def solve(state, generate):  # the mock model would look up a tokenizer elsewhere
            state.output = ModelOutput.from_content("mockllm/model", "nothing")
            return state

        return solve

    file = export_answers(hostile, "inspect", tmp_path / "people.jsonl")
    items = read_answered(hostile).items
    task = inspect_ai.Task(
        dataset=[InspectSample(id=item.item.sample.id, input="x", target="y") for item in items],
        solver=says_nothing(),
        scorer=precomputed_scores(str(file), on_missing="error", metrics=[mean()]),
    )
    (log,) = inspect_ai.eval(task, model="mockllm/model", log_dir=str(tmp_path), display="none")
    assert log.status == "success", log.error
    (score,) = log.results.scores
    assert score.metrics["mean"].value == pytest.approx(sum(i.label for i in items) / len(items))
    given = {str(sample.id): sample.scores["precomputed_scores"] for sample in log.samples}
    for item in items:
        assert given[item.item.sample.id].value == item.label
        assert given[item.item.sample.id].explanation == "\n".join(item.notes)
