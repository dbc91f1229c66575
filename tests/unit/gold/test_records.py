"""Labelled records, good and bad, into items and notes."""

import gzip
import json

import pytest

from glider.core.errors import DataError
from glider.core.judgments import Span
from glider.data.library import load_criterion
from glider.gold.own import own_set
from glider.gold.sets import LabelledSet

RECORD = {
    "id": "a1",
    "kind": "pointwise",
    "input": "What is the capital of France?",
    "context": None,
    "output": "Paris is the capital.",
    "reference": "Paris",
    "criterion": {"name": "right", "description": "Whether the answer is right."},
    "rubric": {"3": "right", "1": "wrong", "2": "half"},
    "scale": [1, 3],
    "label": 2.5,
    "annotators": [2, 3],
    "rationale": " Half of it. ",
    "lang": "fr",
    "meta": {"subset": "easy", "spans": [{"start": 0, "end": 5, "type": "x"}]},
}
PAIR = RECORD | {"outputs": ["Paris", "Lyon"], "output": None, "scale": None, "label": 0.5}
PAIR["annotators"] = [0, 1, 0.5]
SET = {
    "name": "mine",
    "title": "Mine",
    "data": "mine.jsonl",
    "kind": "graded",
    "family": "f",
    "labels_by": "people",
    "licence": "ours",
    "use": "train",
    "metrics": ["mae"],
}
ASKED = {"question": "Is the {output} right?", "levels": {0: "no", 1: "in part", 2: "yes"}}


def load(folder, *records, raw="", **keys):
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "mine.jsonl").write_text(lines + raw, "utf-8")
    return LabelledSet.model_validate(SET | keys).load(folder)


def changed(**keys):
    return RECORD | keys


OTHER = changed(id="b2", label=1, input="And of Spain?")


def test_a_record_becomes_an_item(tmp_path):
    loaded = load(tmp_path, RECORD, OTHER, group="meta.subset")
    first = loaded.items[0]
    assert loaded.notes == ()
    assert (first.sample.id, first.sample["output"]) == ("a1", "Paris is the capital.")
    assert [field.name for field in first.sample.fields] == ["input", "reference", "output"]
    assert first.sample.metadata == {}, "the label does not travel with the texts"
    assert (first.gold, first.scale, first.ratings) == (2.5, (1.0, 3.0), (2.0, 3.0))
    assert first.criterion.question == "Whether the answer is right."
    assert first.criterion.rubric.levels == {1: "wrong", 2: "half", 3: "right"}
    assert (first.part, first.cluster, first.group) == ("right", RECORD["input"], "easy")
    assert first.spans == (Span(field="output", start=0, end=5),)
    assert (first.reason, first.lang) == ("Half of it.", "fr")
    assert not first.is_pair


def test_gzip_is_read_as_well(tmp_path):
    with gzip.open(tmp_path / "mine.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.write(json.dumps(RECORD) + "\n")
    labelled = LabelledSet.model_validate(SET | {"data": "mine.jsonl.gz"})
    (item,) = labelled.items(tmp_path)
    assert item.gold == 2.5


def test_a_plain_table_of_ones_own_labels_will_do(tmp_path):
    table = "id,input,output,label,topic\n1,Hi?,Hello.,2,greeting\n2,Bye?,Hello.,0,greeting\n"
    (tmp_path / "mine.csv").write_text(table, "utf-8")
    keys = {"data": "mine.csv", "part": "topic", "questions": {"*": ASKED}}
    loaded = LabelledSet.model_validate(SET | keys).load(tmp_path)
    assert loaded.notes == ()
    assert [(i.gold, i.scale, i.part, i.cluster) for i in loaded.items] == [
        (2.0, (0.0, 2.0), "greeting", "Hi?"),
        (0.0, (0.0, 2.0), "greeting", "Bye?"),
    ]


@pytest.mark.parametrize("label", [0, 0.5, 1])
def test_a_pair_keeps_its_label(tmp_path, label):
    (item,) = load(tmp_path, PAIR | {"label": label}, kind="pairs").items
    assert item.is_pair
    assert (item.gold, item.scale, item.ratings) == (label, (0.0, 1.0), (0.0, 1.0, 0.5))
    assert [field.name for field in item.sample.judged] == ["output 1", "output 2"]
    assert item.spans == ()


def test_the_sets_question_stands_before_the_records_own(tmp_path):
    record = changed(rubric=None, scale=[0, 100], label=50, annotators=None)
    (item,) = load(tmp_path, record, questions={"right": ASKED | {"title": "Right"}}).items
    assert (item.criterion.name, item.criterion.heading) == ("right", "Right")
    assert item.scale == (0.0, 100.0)
    assert item.on_gold_scale(1) == item.gold == 50


def test_without_a_scale_the_rubric_is_the_scale(tmp_path):
    (item,) = load(tmp_path, changed(scale=None)).items
    assert item.scale == (1.0, 3.0)


def test_hidden_fields_are_not_shown(tmp_path):
    (item,) = load(tmp_path, RECORD, hidden=["reference"]).items
    assert [field.name for field in item.sample.fields] == ["input", "output"]


@pytest.mark.parametrize(
    ("cluster", "found"),
    [
        ("input", "What is the capital of France?"),
        ("meta.subset", "easy"),
        ("", "a1"),
    ],
)
def test_clusters_by_column_path_or_each_its_own(tmp_path, cluster, found):
    loaded = load(tmp_path, RECORD, OTHER, cluster=cluster)
    assert loaded.items[0].cluster == found
    assert not any("a cluster of its own" in note for note in loaded.notes)


def test_a_record_without_its_cluster_column_is_its_own_cluster_and_that_is_said(tmp_path):
    loaded = load(tmp_path, RECORD, OTHER, cluster="context")
    assert [item.cluster for item in loaded.items] == ["a1", "b2"]
    assert loaded.notes == ("no context, so a cluster of its own: 2 (line 1, 2)",)


def test_a_long_document_becomes_a_short_key(tmp_path):
    documents = [changed(id=str(n), context="word " * 500 + end, label=n) for n, end in
                 ((1, "x"), (2, "x"), (3, "y"))]  # fmt: skip
    clusters = [item.cluster for item in load(tmp_path, *documents, cluster="context").items]
    assert clusters[0] == clusters[1] != clusters[2]
    assert all(len(cluster) < 40 for cluster in clusters)


def test_one_part_by_the_sets_name(tmp_path):
    (item,) = load(tmp_path, RECORD, part="").items
    assert item.part == "mine"


def test_one_rating_is_the_label_and_no_panel(tmp_path):
    (item,) = load(tmp_path, changed(annotators=[2])).items
    assert item.ratings == ()


def test_ratings_of_each_sentence_become_one_of_each_person(tmp_path):
    record = changed(scale=[0, 1], rubric=None, label=1, annotators=[[1, 0, 1], [1, 0, 0]])
    (item,) = load(tmp_path, record, questions={"*": ASKED}).items
    assert item.ratings == (1.0, 0.0, 0.5)


@pytest.mark.parametrize(
    ("spans", "kept", "note"),
    [
        ([{"start": 0, "end": 5}, {"start": 0, "end": 5}], [(0, 5)], None),
        ([{"start": 6, "end": 8}, {"start": 0, "end": 5}], [(0, 5), (6, 8)], None),
        ([{"start": None, "end": None}], [], "a highlight without a place in the output"),
        ([{"start": 3, "end": 99}], [], "a highlight outside the output"),
        ([{"start": 3, "end": 3}], [], "a highlight outside the output"),
        ([{"start": -1, "end": 3}], [], "a highlight outside the output"),
        ([{"start": "0", "end": 5}], [], "a highlight without a place in the output"),
        ([[0, 5], {"start": 0, "end": 5}], [(0, 5)], "a highlight without a place in the output"),
        ({"start": 0, "end": 5}, [], "highlights that are no list"),
    ],
)
def test_highlights(tmp_path, spans, kept, note):
    loaded = load(tmp_path, changed(meta={"spans": spans}), OTHER)
    assert [(span.start, span.end) for span in loaded.items[0].spans] == kept
    assert [n.partition(",")[0] for n in loaded.notes] == ([note] if note else [])


def test_a_language_that_is_no_text_is_counted_and_the_sets_own_holds(tmp_path):
    loaded = load(tmp_path, changed(lang=5), OTHER)
    assert [item.lang for item in loaded.items] == ["en", "fr"]
    assert loaded.notes == ("a language that is no text, not used: 1 (line 1)",)


@pytest.mark.parametrize(
    ("record", "note"),
    [
        (changed(label=None), "left out, no label: 1 (line 1)"),
        (changed(label=""), "left out, no label: 1 (line 1)"),
        (changed(label="good"), "left out, a label that is no number: 1 (line 1)"),
        (changed(label=3.5), "left out, a label outside its scale: 1 (line 1)"),
        (changed(label=-1), "left out, a label outside its scale: 1 (line 1)"),
        (changed(scale=[3, 1]), "left out, a scale that is not [lowest, highest]: 1 (line 1)"),
        (changed(id="b2"), "left out, an id used before under the same criterion: 1 (line 2)"),
        (changed(output=None), "left out, 'output' is null"),
        (changed(criterion=None), "left out, no criterion.name to tell its part: 1 (line 1)"),
        (changed(rubric=None, scale=[0, 100]), "left out, the row has no rubric"),
        (changed(rubric={"1": "only"}), "left out, a rubric needs 2 to 11 levels"),
        (PAIR, "left out, two outputs in a set that has no pairs: 1 (line 1)"),
        (changed(annotators=[2, 9]), "single ratings that are no numbers on the scale, not used"),
        (changed(annotators=["x"]), "single ratings that are no numbers on the scale, not used"),
        (changed(annotators=[[1, 2], [1]]), "single ratings that are no numbers on the scale"),
    ],
)
def test_bad_records_are_counted_and_the_others_stay(tmp_path, record, note):
    good = [OTHER, changed(id="c3", label=3, input="c")]
    # A repeated id is the second one's fault.
    records = [good[0], record, good[1]] if record["id"] == "b2" else [record, *good]
    loaded = load(tmp_path, *records)
    assert {"b2", "c3"} <= {item.sample.id for item in loaded.items}
    assert len(loaded.items) == 2 + note.startswith("single")
    assert loaded.notes[0].startswith(note)
    assert len(loaded.notes) == 1
    assert str(tmp_path) not in " ".join(loaded.notes)


def test_a_label_of_a_pair_is_0_1_or_a_half(tmp_path):
    good = [PAIR | {"id": "b", "label": 1}, PAIR | {"id": "c", "label": 0, "input": "c"}]
    loaded = load(tmp_path, PAIR | {"label": "NaN"}, RECORD, *good, kind="pairs")
    assert loaded.notes == (
        "left out, no label: 1 (line 1)",
        "left out, not two outputs: 1 (line 2)",
    )


def test_a_broken_line_is_counted(tmp_path):
    loaded = load(tmp_path, RECORD, OTHER, raw='{"id": \n')
    assert len(loaded.items) == 2
    assert loaded.notes[0].startswith("left out, not JSON")
    assert str(tmp_path) not in loaded.notes[0]


def test_the_same_id_under_two_criteria_is_no_repetition(tmp_path):
    other = changed(criterion={"name": "kind", "description": "Whether it is kind."}, label=1)
    loaded = load(tmp_path, RECORD, other)
    assert [item.part for item in loaded.items] == ["right", "kind"]
    assert {item.cluster for item in loaded.items} == {RECORD["input"]}


def test_constant_gold_one_cluster_and_ties_are_said(tmp_path):
    notes = load(tmp_path, RECORD, changed(id="b2")).notes
    assert notes == (
        "every label of 'right' is 2.5",
        "all items are of one cluster, so there are no intervals and no tests",
    )
    ties = load(tmp_path, PAIR, PAIR | {"id": "b", "input": "b", "label": 1}, kind="pairs").notes
    assert ties == ("1 of 2 pairs are ties in the labels; no accuracy rests on them",)


def test_a_file_without_any_label_is_an_error_that_says_why(tmp_path):
    with pytest.raises(DataError, match="no record has both texts and a label") as caught:
        load(tmp_path, changed(label=None), changed(id="b", label=None))
    assert caught.value.hint == "left out, no label: 2 (line 1, 2)"


def test_notes_are_about_all_records_and_items_about_the_drawn(tmp_path):
    load(tmp_path, *(changed(id=str(n), label=1 + n % 3, input=str(n)) for n in range(20)),
         changed(id="x", label=None))  # fmt: skip
    loaded = LabelledSet.model_validate(SET).load(tmp_path, limit=5, seed=3)
    assert len(loaded.items) == 5
    assert loaded.notes == ("left out, no label: 1 (line 21)",)


# A person's own file


def own(folder, rows):
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return own_set(path, load_criterion("conciseness")).load(folder)


def test_a_persons_own_file_may_have_other_tools_columns_and_what_is_not_used_is_said(tmp_path):
    rows = [
        {"instruction": f"q{n}", "output": "a", "label": n % 5 + 1, "model": "m"} for n in range(6)
    ]
    loaded = own(tmp_path, rows)
    assert loaded.items[1].sample["input"] == "q1"
    assert loaded.notes[0] == "used: instruction as input, output; not used: model"


def test_labelled_conversations_are_whole(tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}],
         "label": n % 5 + 1}
        for n in range(6)
    ]  # fmt: skip
    loaded = own(tmp_path, rows)
    assert loaded.items[1].sample["input"] == "user: q1"
    assert not any(note.startswith("used:") for note in loaded.notes)
