"""Labels as numbers, and labels of pairs on another scale, which every command refuses alike."""

import json
from decimal import Decimal

import pytest
from labelled_runs import comparison, write_labels, write_run

from glider.audit.subjects import subjects
from glider.calibration.labelled import LabelledRun
from glider.core.errors import DataError
from glider.data.labels import label_of
from glider.data.library import load_criterion
from glider.data.presets import columns_for
from glider.data.rows import open_rows
from glider.data.values import Unfit, Unreadable
from glider.gold.own import own_set


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (4, 4.0), ("4", 4.0), (" 4.5 ", 4.5), (Decimal("4.50"), 4.5), (True, 1.0), (-1, -1.0),
        (None, None), ("", None), (" ", None), (float("nan"), None), ("NaN", None), ("nan", None),
    ],
)  # fmt: skip
def test_a_label_is_a_number_or_missing(value, number):
    assert label_of(value, pair=False) == number


@pytest.mark.parametrize("value", ["good", "4,0", [1], {"a": 1}, Unreadable("x"), "inf", "1e999"])
def test_what_is_no_label(value):
    with pytest.raises(Unfit, match="is no"):
        label_of(value, pair=False)


# Winners as 1 and 2, with 1.5 for a tie: read as 0, 0.5, 1 the first would be the second.
WINNERS = [1, 2, 1, 1.5, 1]


def file(folder, name, labels):
    rows = [
        {"id": f"s{n}", "input": f"q{n}", "outputs": ["a", f"b{n}"], "label": label}
        for n, label in enumerate(labels)
    ]
    path = folder / name
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text if name.endswith("l") else json.dumps(rows))
    return path


def gold(path):
    own_set(path, load_criterion("helpfulness")).load(path.parent)


def audit(path):
    own = {"criterion": {"name": "c", "description": "Is it good?"}, "rubric": {"1": "a", "2": "b"}}
    rows = list(open_rows(path))
    for row in rows:
        row.data.update(own)
    subjects(rows, columns_for(rows[0].data), [])


def calibrate(path):
    run = write_run(path.parent / "run", [comparison(n, 0.7) for n in range(5)])
    rows = [(row.data["id"], row.data["label"]) for row in open_rows(path)]
    LabelledRun.load(run, labels=str(write_labels(path.parent / "labels.csv", rows)))


def calibrate_its_own(path):
    labels = [row.data["label"] for row in open_rows(path)]
    run = write_run(path.parent / "run", [comparison(n, 0.7) for n in range(5)], labels=labels)
    LabelledRun.load(run)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("use", [gold, audit, calibrate, calibrate_its_own])
@pytest.mark.parametrize("labels", [WINNERS, [1, 0, 0.7, 1, 0], [-1, 1, -1, 1, 1]])
def test_labels_of_pairs_on_another_scale_are_refused(tmp_path, use, labels, name):
    with pytest.raises(DataError, match="of a pair is not 0, 0.5 or 1: these labels"):
        use(file(tmp_path, name, labels))


@pytest.mark.parametrize("use", [gold, audit, calibrate, calibrate_its_own])
def test_labels_of_pairs_are_used(tmp_path, use):
    use(file(tmp_path, "a.jsonl", [0, 1, 0.5, 1, 0]))
