"""Who is given what: neighbours together, again after a death, and never for ever."""

import pickle
from itertools import islice

import pytest

from glider import Criterion, Sample
from glider.core import errors
from glider.core.tasks import JudgeTask
from glider.judging.pairs import PairTask
from glider.scale.chunks import Chunk, Chunks, neighbours, place_of

CRITERION = Criterion(name="c", question="q?", rubric={0: "no", 1: "yes"})


def items(n, inputs=lambda row: f"question {row}"):
    return [
        (row, JudgeTask(Sample.of(f"text {row}", id=str(row), input=inputs(row)), CRITERION))
        for row in range(n)
    ]


def test_rows_of_one_input_come_into_one_chunk():
    work = items(32, inputs=lambda row: f"question {row % 4}")
    chunks = list(neighbours(iter(work), 8))
    assert [{row % 4 for row, _ in chunk} for chunk in chunks] == [{0}, {1}, {2}, {3}]
    assert sorted(row for chunk in chunks for row, _ in chunk) == list(range(32))


def test_rows_that_share_nothing_keep_their_order_in_full_chunks():
    chunks = list(neighbours(iter(items(20)), 8))
    assert [[row for row, _ in chunk] for chunk in chunks] == [
        list(range(8)), list(range(8, 16)), list(range(16, 20)),
    ]  # fmt: skip


def test_one_input_that_fills_many_chunks_is_cut():
    chunks = list(neighbours(iter(items(20, inputs=lambda row: "one")), 8))
    assert [len(chunk) for chunk in chunks] == [8, 8, 4]


def test_work_is_read_only_as_far_as_is_needed():
    taken = []

    def endless():
        for row in range(10**9):
            taken.append(row)
            yield row, JudgeTask(Sample.of("text", id=str(row)), CRITERION)

    assert len(list(islice(neighbours(endless(), 8), 3))) == 3
    assert len(taken) <= 8 * 16


def test_what_a_process_died_with_is_given_again_then_alone_then_fails():
    chunks = Chunks(iter(items(4)), 4)
    chunk = chunks.take(alone=True)
    chunks.give_back(chunk, lambda item: item[0] == 0)
    again = chunks.take(alone=False)
    assert ([row for row, _ in again.items], again.alone) == ([1, 2, 3], False)
    chunks.give_back(again, lambda item: False)
    assert chunks.suspicious
    assert chunks.take(alone=False) is None
    singles = [chunks.take(alone=True) for _ in range(3)]
    assert all(single.alone and len(single.items) == 1 for single in singles)
    chunks.give_back(singles[0], lambda item: True)
    chunks.give_back(singles[1], lambda item: False)
    assert not chunks.failed
    chunks.give_back(chunks.take(alone=True), lambda item: False)
    assert [row for row, _ in chunks.failed] == [2]
    assert chunks.any_left
    chunks.failed.clear()
    assert not chunks.any_left


def test_a_chunk_that_is_all_done_is_not_given_again():
    chunks = Chunks(iter(()), 4)
    chunks.give_back(Chunk(items(2)), lambda item: True)
    assert chunks.take(alone=True) is None


def test_work_goes_to_another_process_as_it_is():
    pair = PairTask(Sample(id="1", fields=[
        {"name": "a", "text": "one", "role": "judged"}, {"name": "b", "text": "two", "role": "judged"},
    ]), CRITERION, "a", "b")  # fmt: skip
    ((_, grade),) = items(1)
    assert place_of(pair) == ("c", "a", "b")
    assert place_of(grade) == ("c", "", "")
    for work in (pair, grade):
        copy = pickle.loads(pickle.dumps(work))
        assert copy == work
        assert copy.id == work.id


@pytest.mark.parametrize(
    "error",
    [
        errors.SetupError("m", hint="h"),
        errors.UnknownName("model", "nan", ["nano"]),
        errors.MissingExtra("--on ray", "ray"),
        errors.MissingField("c", "context", ["output"]),
        errors.RateLimited("slow down", retry_after_s=3.0),
        errors.PromptTooLong(9, 5),
        errors.ScoreOutsideRubric("9", [0, 1]),
    ],
    ids=lambda error: error.code,
)  # fmt: skip
def test_an_error_keeps_its_kind_in_another_process(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.__dict__) == (str(error), error.__dict__)
