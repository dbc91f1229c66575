"""Places that a result may take, and those that it may not."""

import pytest

from glider.core.errors import SetupError
from glider.store.targets import check_target


@pytest.fixture
def place(tmp_path):
    (tmp_path / "data.jsonl").write_text("{}\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/part.csv").write_text("a\n")
    (tmp_path / "soft").symlink_to("data.jsonl")
    (tmp_path / "hard").hardlink_to(tmp_path / "data.jsonl")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/manifest.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("out", "why"),
    [
        ("data.jsonl", "would replace or change what is read"),
        ("folder/../data.jsonl", "would replace or change what is read"),
        ("soft", "would replace or change what is read"),
        ("hard", "would replace or change what is read"),
        ("folder/part.csv", "would replace or change what is read"),
        ("folder/new.csv", "would replace or change what is read"),
        ("folder", "is a folder"),
        ("run/journal.jsonl", "makes .*run a run"),
        ("closed/new.csv", "lies in the folder of the run"),
        ("data.jsonl/under", "is no folder"),
        ("round", "cannot write"),
    ],
)
def test_refused(place, out, why):
    with pytest.raises(SetupError, match=why):
        check_target(
            place / out,
            reads=[place / "data.jsonl", place / "folder", "openai/gpt", None],
            closed=[place / "closed"],
        )


@pytest.mark.parametrize("out", ["new.csv", "deep/er/new.csv", "run/page.html"])
def test_taken(place, out):
    check_target(place / out, reads=[place / "data.jsonl", place / "folder"])
    assert not (place / "deep").exists()


def test_the_suffix_counts_in_capitals_too(tmp_path):
    check_target(tmp_path / "X.CSV", suffixes=(".csv", ".jsonl"))
    with pytest.raises(SetupError, match=r"--page writes \.csv or \.jsonl, not 'x\.txt'"):
        check_target(tmp_path / "x.txt", suffixes=(".csv", ".jsonl"), flag="--page")


def test_nothing_is_checked_where_nothing_is_written():
    check_target(None, reads=["/"])
