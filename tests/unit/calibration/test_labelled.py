"""A run and its labels: what is matched, and what is refused with which words."""

import numpy as np
import pytest
from labelled_runs import (
    BINARY,
    GRADES,
    comparison,
    failure,
    graded_run,
    judgment,
    population,
    write_labels,
    write_run,
)  # fmt: skip

from glider.calibration.labelled import LabelledRun
from glider.core.errors import DataError, RunError, SetupError, UnknownName


@pytest.fixture
def run(tmp_path):
    """40 judged items, prompts of two, no labels."""
    _, probs, prompt = population(40, per_prompt=2)
    return write_run(
        tmp_path / "run", [judgment(n, p) for n, p in enumerate(probs)], prompts=prompt
    )


def pairs(n):
    return [(f"s{i}", 1 + i % 5) for i in range(n)]


def test_labels_of_a_file_meet_the_run_by_id(run, tmp_path):
    file = write_labels(tmp_path / "labels.csv", pairs(25))
    found = LabelledRun.load(run, labels=str(file))
    assert found.labelled.sum() == 25
    assert found.label[:3].tolist() == [1, 2, 3]
    assert np.isnan(found.label[25:]).all()
    assert (found.levels, found.scale, found.kind) == ((1, 2, 3, 4, 5), (1, 5), "graded")
    assert len(set(found.cluster)) == 20
    assert found.criterion_id == GRADES.content_id
    assert found.notes == ()


def test_columns_may_have_other_names_and_a_path(run, tmp_path):
    file = tmp_path / "labels.jsonl"
    file.write_text(
        '{"key": "s3", "people": {"mean": "4.5"}}\n{"key": "s4", "people": {"mean": 2}}\n'
    )
    found = LabelledRun.load(run, labels=str(file), maps=["id=key", "label=people.mean"])
    assert found.label[3:5].tolist() == [4.5, 2]


def test_labels_of_the_run_itself(tmp_path):
    found = LabelledRun.load(graded_run(tmp_path / "run", 30, labelled={0, 5, 7}))
    assert np.flatnonzero(found.labelled).tolist() == [0, 5, 7]


def test_failures_keep_their_place(tmp_path):
    found = LabelledRun.load(graded_run(tmp_path / "run", 30, fail={1, 2}))
    assert len(found.label) == 30
    assert np.flatnonzero(~found.judged).tolist() == [1, 2]
    assert len(found.readings) == 28
    assert found.both.sum() == 28
    assert found.labelled.sum() == 30


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("s0", 3), ("s1", 9), ("s2", 0)], "2 of 3 labels are outside 1 to 5, the rubric: the first is 9, of 's1'"),
        ([("x0", 3), ("x1", 4)], "none of its 2 ids is in the run; it has 'x0', the run has 's0'"),
        ([("s0", 3), ("s1", 2), ("s0", 4)], "'s0' has two labels, 3 and 4"),
        ([("s0", ""), ("s1", "")], "has no label in any row"),
        ([("s0", "good")], "the label 'good' is not a number"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_used(run, tmp_path, rows, told):
    file = write_labels(tmp_path / "labels.csv", rows)
    with pytest.raises(DataError) as caught:
        LabelledRun.load(run, labels=str(file))
    assert told in caught.value.message


def test_a_labels_file_without_the_columns(run, tmp_path):
    file = write_labels(tmp_path / "labels.csv", pairs(3), columns=("item", "label"))
    with pytest.raises(DataError, match="no column 'id'; there are item, label"):
        LabelledRun.load(run, labels=str(file))
    with pytest.raises(SetupError, match="--map score"):
        LabelledRun.load(run, labels=str(file), maps=["score=label"])


def test_what_is_left_out_is_told(run, tmp_path):
    rows = [*pairs(22), ("s0", 1), ("elsewhere", 2), ("s30", ""), ("s31", "nan")]
    found = LabelledRun.load(run, labels=str(write_labels(tmp_path / "labels.csv", rows)))
    assert found.labelled.sum() == 22
    told = " ".join(found.notes)
    assert "2 rows of the labels file have no label" in told
    assert "1 labels are exact duplicates" in told
    assert "1 of 23 labels name ids that the run does not have" in told


def test_an_id_on_two_rows_is_refused_only_if_it_is_labelled(tmp_path):
    _, probs, _ = population(30)
    ids = [f"s{n}" for n in range(29)] + ["s28"]
    run = write_run(tmp_path / "run", [judgment(n, p) for n, p in enumerate(probs)], ids=ids)
    labels = write_labels(tmp_path / "some.csv", pairs(25))
    found = LabelledRun.load(run, labels=str(labels))
    assert found.labelled.sum() == 25
    assert found.notes[0] == "1 of 30 items repeat an earlier id; each counts."
    labels = write_labels(tmp_path / "all.csv", pairs(29))
    with pytest.raises(DataError, match="the id 's28' is on 2 rows"):
        LabelledRun.load(run, labels=str(labels))


def test_labels_on_a_scale_of_their_own(run, tmp_path):
    file = write_labels(tmp_path / "labels.csv", [(f"s{n}", 25 * (n % 5)) for n in range(30)])
    found = LabelledRun.load(run, labels=str(file), scale=(0, 100))
    assert found.readings.ladder.tolist() == [0, 25, 50, 75, 100]
    assert found.readings.expected.min() >= 0 and found.readings.expected.max() <= 100
    with pytest.raises(DataError, match="outside 0 to 50, the scale given"):
        LabelledRun.load(run, labels=str(file), scale=(0, 50))


def test_a_run_without_labels_says_where_they_come_from(run):
    with pytest.raises(DataError, match="none of the run's 40 samples has a 'label'") as caught:
        LabelledRun.load(run)
    assert "--labels FILE" in caught.value.hint


def test_a_run_with_several_criteria_needs_a_choice(tmp_path):
    _, probs, _ = population(20)
    outcomes = [judgment(n, p) for n, p in enumerate(probs)]
    outcomes += [judgment(20 + n, [0.3, 0.7], BINARY) for n in range(10)]
    run = write_run(tmp_path / "run", outcomes, labels=[1] * 30, criteria=(GRADES, BINARY))
    with pytest.raises(SetupError, match=r"quality \(20\), holds \(10\)"):
        LabelledRun.load(run)
    with pytest.raises(UnknownName, match="did you mean 'quality'"):
        LabelledRun.load(run, criterion="qualty")
    found = LabelledRun.load(run, criterion="holds")
    assert (found.levels, len(found.label)) == ((0, 1), 10)


def test_a_run_in_which_all_failed(tmp_path):
    run = write_run(tmp_path / "run", [failure(n) for n in range(30)], labels=[3] * 30)
    with pytest.raises(DataError, match="none of its 30 items was judged"):
        LabelledRun.load(run)
    with pytest.raises(RunError, match="is no run"):
        LabelledRun.load(tmp_path / "nowhere")


def test_comparisons_are_scores_between_the_outputs(tmp_path):
    run = write_run(tmp_path / "run", [comparison(n, n / 29) for n in range(30)],
                    labels=[1.0] * 15 + [0.5] * 5 + [0.0] * 10)  # fmt: skip
    found = LabelledRun.load(run)
    assert (found.kind, found.levels, found.scale) == ("pairs", (0, 1), (0, 1))
    assert found.readings.expected[0] == 1 and found.readings.expected[-1] == 0
    # A tie among people agrees with either.
    assert not found.readings.disagree(found.label, "level", None)[15:20].any()


@pytest.mark.parametrize(
    ("cluster", "n"), [(None, 20), ("none", 40), ("input", 20), ("group", 4), ("output", 40)]
)
def test_clusters(tmp_path, cluster, n):
    from glider.core.samples import Sample
    from glider.store.manifest import Manifest
    from glider.store.run import RunFolder

    manifest = Manifest.of(run_id="r", judge="j", settings={}, criteria={}, input_path="x", input_sha256="0")  # fmt: skip
    _, probs, _ = population(40)
    with RunFolder.create(tmp_path / "run", manifest, [GRADES]) as run:
        for row, p in enumerate(probs):
            run.record_sample(row, Sample.of(
                f"text {row}", input=f"prompt {row // 2}", id=f"s{row}",
                metadata={"label": 3, "group": row % 4},
            ))  # fmt: skip
            run.record(row, judgment(row, p))
    assert len(set(LabelledRun.load(tmp_path / "run", cluster=cluster).cluster)) == n


def test_a_fixed_instruction_makes_no_cluster(tmp_path):
    _, probs, _ = population(30)
    run = write_run(tmp_path / "run", [judgment(n, p) for n, p in enumerate(probs)],
                    labels=[3] * 30, prompts=[0] * 30)  # fmt: skip
    found = LabelledRun.load(run)
    assert len(set(found.cluster)) == 30
    assert "All items share one input" in found.notes[0]
    with pytest.raises(SetupError, match="no sample has a field or column 'promt'"):
        LabelledRun.load(run, cluster="promt")
