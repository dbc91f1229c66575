"""Every shipped set against its data: nothing left out unsaid, no question that cannot be asked."""

from collections import Counter
from functools import cache

import pytest
from labelled_data import DATA, record_files, with_data

from glider.core.criteria import pairwise
from glider.core.tasks import JudgeTask
from glider.data.rows import open_rows
from glider.formats import make_format
from glider.gold.sets import load_set, shipped
from glider.judging.pairs import PairTask

SETS = [name for name in shipped() if load_set(name).reader == "judgements"]
UNSEEN = {
    "llmbar",
    "llmbar_processed_human_pairs",
    "judgebench",
    "rm_bench",
    "evalbiasbench",
    "topical_chat",
    "cefr_sp_wiki",
    "qags",
}
OWN_WORDS = {
    "begin_attribution",
    "esnli_explanations",
    "faithbench",
    "hhh_alignment",
    "prometheus_vicuna_mtbench",
    "semeval2013_answers",
    "xstest_refusals",
}
LEFT_UNPLACED = {"halueval_general": 77, "mqm_ted_spans": 45}


@cache
def loaded(name):
    return load_set(name).load(DATA)


# The files themselves


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_described(name):
    one = load_set(name)
    assert one.name == name and one.data == f"{name}.jsonl.gz"
    assert one.title and one.family and one.labels_by and one.metrics
    restricted = "NC" in one.licence or "none stated" in one.licence
    expected = "unseen" if name in UNSEEN else "licence" if restricted else "train"
    assert one.use == expected
    of_pairs = [metric.startswith("accuracy_") or metric == "flip_rate" for metric in one.metrics]
    assert all(of_pairs) if one.kind == "pairs" else not any(of_pairs)
    assert bool(one.questions) == (name not in OWN_WORDS)


@pytest.mark.parametrize("name", [name for name in SETS if load_set(name).questions])
def test_questions_read_well(name):
    one = load_set(name)
    for part, question in one.questions.items():
        assert question.title, part
        assert question.question.rstrip().endswith((".", "?")), part
        assert "?" in question.question, "something is asked"
        assert 60 <= len(question.question) <= 420, part
        levels = list(question.levels.levels.values())
        assert len(set(levels)) == len(levels), part
        assert all(level[0].isupper() and level.endswith(".") for level in levels), part
        if one.kind == "pairs":
            # `pairwise` names both outputs; a question that named them again would read badly.
            assert "{output}" not in question.question and " an output" in question.question
        else:
            assert "{output}" in question.question, part


def test_no_text_is_used_for_two_different_scales():
    asked = {}
    for name in SETS:
        for question in load_set(name).questions.values():
            levels = asked.setdefault(question.question, question.levels)
            assert levels == question.levels, question.question


@pytest.mark.parametrize("name", shipped())
def test_names_of_subsets_need_a_column_of_them(name):
    one = load_set(name)
    assert bool(one.group) >= bool(one.groups)


# With the data


@with_data
@pytest.mark.parametrize(
    ("name", "subsets"),
    [
        ("rm_bench", {"easy": 575, "normal": 575, "hard": 575}),
        ("judgebench", {"knowledge": 228, "reasoning": 93, "math": 73, "coding": 54}),
        ("llmbar", {"Natural": 75, "Adversarial": 230}),
    ],
)
def test_the_subsets_are_those_of_the_paper(name, subsets):
    assert Counter(item.group for item in loaded(name).items) == subsets


@with_data
@pytest.mark.parametrize("name", [name for name in SETS if load_set(name).groups])
def test_every_pattern_of_a_subset_finds_something(name):
    one = load_set(name)
    found = {item.group for item in loaded(name).items}
    assert {*one.groups} <= found
    assert found - {*one.groups} <= {"Natural"}, "no raw value is left among the names"


@with_data
def test_every_labelled_file_has_its_set():
    files = {path.name.removesuffix(".jsonl.gz") for path in record_files()}
    assert {name for name in files if not name.endswith("_unlabelled")} == set(SETS)


@with_data
@pytest.mark.parametrize("name", SETS)
def test_every_record_becomes_an_item(name):
    one, (items, notes) = load_set(name), (loaded(name).items, loaded(name).notes)
    assert len(items) == sum(1 for _ in open_rows(DATA / one.data))
    unplaced = [note for note in notes if note.startswith("a highlight without a place")]
    expected = LEFT_UNPLACED.get(name)
    assert [note.partition(" (")[0].rpartition(" ")[2] for note in unplaced] == (
        [str(expected)] if expected else []
    )
    others = [note for note in notes if note not in unplaced]
    odd = ("every label of", "pairs are ties in the labels")
    assert all(any(words in note for words in odd) for note in others), others
    assert {item.is_pair for item in items} == {one.kind == "pairs"}
    assert {item.lang for item in items} <= {*one.languages}
    assert {f"{i.sample.id} {i.criterion.name}" for i in items}.__len__() == len(items)


@with_data
@pytest.mark.parametrize("name", SETS)
def test_gold_ratings_and_spans_lie_where_they_must(name):
    for item in loaded(name).items:
        low, high = item.scale
        rubric = item.criterion.rubric
        assert low <= item.gold <= high
        assert all(low <= rating <= high for rating in item.ratings)
        assert item.on_gold_scale(rubric.low) == pytest.approx(low)
        assert item.on_gold_scale(rubric.high) == pytest.approx(high)
        for span in item.spans:
            assert item.sample[span.field][span.start : span.end].strip()


@with_data
def test_spans_are_the_marked_words():
    name = "uhgeval_zh"
    rows = [row.data for row in open_rows(DATA / load_set(name).data)]
    for row, item in zip(rows, loaded(name).items, strict=True):
        marked = {span["text"] for span in row["meta"]["spans"]}
        assert {item.sample["output"][span.start : span.end] for span in item.spans} == marked


@with_data
@pytest.mark.parametrize("name", SETS)
def test_clusters_hold_what_belongs_together(name):
    one, items = load_set(name), loaded(name).items
    clusters = {}
    for item in items:
        clusters.setdefault(item.cluster, []).append(item)
    assert len(clusters) > 10
    # No text stands in two clusters: one that is judged twice is not two observations. Texts of
    # few words ("Yes.", "No submission.") do meet by chance.
    places = {}
    for item in items:
        shown = tuple(field.text for field in item.sample.fields)
        if sum(map(len, shown)) > 200:
            places.setdefault((shown, item.part), set()).add(item.cluster)
    assert max(map(len, places.values()), default=1) == 1
    if not one.cluster:
        assert len(clusters) == len(items)


@with_data
@pytest.mark.parametrize("name", SETS)
def test_every_question_can_be_asked_of_every_record(name):
    for item in loaded(name).items:
        criterion = pairwise(item.criterion) if item.is_pair else item.criterion
        labels = {field.name: field.name for field in item.sample.fields}
        asked = criterion.question_for(item.sample, labels)
        assert "{" not in asked


@with_data
@pytest.mark.parametrize("name", SETS)
def test_each_part_is_rendered_by_the_formats(name):
    parts = {}
    for item in loaded(name).items:
        parts.setdefault(item.part, []).append(item)
    for of_part in parts.values():
        for item in (of_part[0], of_part[len(of_part) // 2], of_part[-1]):
            if item.is_pair:
                first, second = (field.name for field in item.sample.judged)
                tasks = PairTask(item.sample, item.criterion, first, second).tasks
            else:
                tasks = (JudgeTask(item.sample, item.criterion),)
            for task in tasks:
                for format in ("nano", "glider", "chat-json"):
                    prompt = make_format(format).render(task)
                    said = "\n".join(message.content for message in prompt.messages)
                    for level in task.criterion.rubric.levels.values():
                        assert level in said


@with_data
def test_a_draw_of_a_real_set_is_seeded_and_balanced():
    one = load_set("summeval")
    drawn = [one.load(DATA, limit=150, seed=seed).items for seed in (0, 0, 1)]
    ids = [[f"{i.sample.id}" for i in items] for items in drawn]
    assert ids[0] == ids[1] != ids[2]
    counts = {part: sum(i.part == part for i in drawn[0]) for part in {i.part for i in drawn[0]}}
    assert sorted(counts.values()) == [37, 37, 38, 38]
