"""What people answered is kept, once, whatever happens."""

import errno
import os

import pytest
from review_runs import graded_run

from glider.core.errors import DataError, RunError
from glider.core.judgments import Span
from glider.review.answers import Answer, AnswerBook, read_people


def answer(n, person="ana", **others):
    told = {"visit": f"v{n}", "item": f"v{n}", "stage": "blind", "score": 3, **others}
    return Answer(id=f"id{n}", person=person, content="c", at="2026-11-20T09:30:00", **told)


@pytest.fixture
def run(tmp_path):
    return graded_run(tmp_path / "run", 3)


def test_answers_are_read_back_as_they_were_given(run):
    given = [
        answer(1, spans=(Span(field="output", start=0, end=3),), note="so\nso 😀\u2028"),
        answer(2, stage="reveal", score=None, reason_right="partly"),
        answer(3, stage="flag", score=None, questions={"clear": "yes"}),
    ]
    with AnswerBook(run, ["ana", "ben"]) as book:
        assert [book.add(one) for one in given] == [True] * 3
        assert [book.add(one) for one in given] == [False] * 3
    people = read_people(run)
    assert set(people) == {"ana", "ben"}
    assert list(people["ana"].current.values()) == given
    assert (run / "review/answers/ana.jsonl").read_text().count("\n") == 3


def test_a_later_answer_stands_and_history_is_kept(run):
    with AnswerBook(run, ["ana"]) as book:
        book.add(answer(1))
        book.add(answer(2, visit="v1", score=5))
    ana = read_people(run)["ana"]
    assert ana.blind("v1").score == 5 and ana.history["v1", "blind"] == 2
    assert ana.answered == {"v1"}


def test_a_line_without_its_end_is_cut_and_a_damaged_one_is_named(run):
    with AnswerBook(run, ["ana"]) as book:
        book.add(answer(1))
    file = run / "review/answers/ana.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])
    assert len(read_people(run)["ana"].current) == 1
    with AnswerBook(run, ["ana"]) as book:
        book.add(answer(2))
    assert len(read_people(run)["ana"].current) == 2
    file.write_bytes(whole + b"{}\n" + whole)
    for read in (read_people, lambda run: AnswerBook(run, ["ana"])):
        with pytest.raises(DataError, match=r"ana\.jsonl:2: damaged"):
            read(run)
    file.rename(file.with_name("ben.jsonl"))
    (run / "review/answers/ben.jsonl").write_bytes(whole)
    with pytest.raises(DataError, match="answer of ana"):
        read_people(run)


def test_merging_by_putting_files_together_doubles_nothing(run):
    with AnswerBook(run, ["ana"]) as book:
        book.add(answer(1))
        book.add(answer(2))
    file = run / "review/answers/ana.jsonl"
    file.write_bytes(file.read_bytes() * 2)
    assert read_people(run)["ana"].history == {("v1", "blind"): 1, ("v2", "blind"): 1}


def test_two_processes_do_not_write_one_review(run):
    with AnswerBook(run, ["ana"]), pytest.raises(RunError, match="in use"):
        AnswerBook(run, ["ana"])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")
def test_a_full_disk_keeps_nothing_and_says_so(run):
    with AnswerBook(run, ["ana"]) as book:
        book.add(answer(1))
        good, full = book._files["ana"], os.open("/dev/full", os.O_WRONLY)
        book._files["ana"] = full
        with pytest.raises(RunError, match=os.strerror(errno.ENOSPC)):
            book.add(answer(2))
        assert "id2" not in book.people["ana"].ids
        book._files["ana"] = good
        os.close(full)
        assert book.add(answer(2))
    assert len(read_people(run)["ana"].current) == 2
