"""Pairs from a judge's own answers: which are right, which are far enough off, what is counted."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from random import Random

import pytest
from unit.corpus.cases import item, labelled, pair

from glider.backends.scripted import ScriptedBackend
from glider.core.errors import (
    DataError,
    EmptySplit,
    ManifestMismatch,
    PromptTooLong,
    Refused,
    RunError,
    TimedOut,
)
from glider.core.generation import Generation
from glider.corpus.examples import ExampleTask, read_preferences, write_lines
from glider.corpus.from_items import example_of, task_of
from glider.formats import make_format
from glider.store.folder import locked_folder
from glider.store.manifest import Manifest
from glider.studies.rationalizing.asking import SampledAnswers, ask, questions
from glider.studies.rationalizing.pairing import ReadAnswer, majority, paired, right_levels
from glider.studies.rationalizing.preferences import Pairing, write_pairs

FORM = make_format("nano", order="reason-first")
SET = labelled()
FIVE = (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("scores", "right", "levels", "margin", "outcome", "scored"),
    [
        ([4, 2, 4, 3], {4}, FIVE, 2, "pairs", (4, 2)),
        ([4, 3, 3, 5], {4}, FIVE, 2, "wrong by less than the margin", None),
        ([4, 3], {4}, FIVE, 1, "pairs", (4, 3)),
        ([4, 4, 4], {4}, FIVE, 2, "all right", None),
        ([1, 2, 1], {4}, FIVE, 2, "none right", None),
        ([], {4}, FIVE, 2, "nothing readable", None),
        ([1, 5], set(), FIVE, 2, "no majority", None),
        # Half a scale is one level of three, either level of two, five of ten.
        ([2, 3], {3}, (1, 2, 3), 2, "pairs", (3, 2)),
        ([0, 1], {0}, (0, 1), 2, "pairs", (0, 1)),
        ([4, 8], {8}, tuple(range(1, 11)), 2, "wrong by less than the margin", None),
        ([3, 8], {8}, tuple(range(1, 11)), 2, "pairs", (8, 3)),
        # Between two levels both are right, and the margin counts from the nearer one.
        ([2, 4], {2, 3}, FIVE, 2, "wrong by less than the margin", None),
        ([2, 5], {2, 3}, FIVE, 2, "pairs", (2, 5)),
    ],
)
def test_a_table_of_answers(scores, right, levels, margin, outcome, scored):
    answers = [ReadAnswer(score, f"answer {n}") for n, score in enumerate(scores)]
    found = paired(answers, right, levels, margin=margin, most=1, rng=Random(0))
    assert found.outcome == outcome
    assert [(a.score, b.score) for a, b in found.pairs] == ([scored] if scored else [])


def test_no_answer_is_in_two_pairs():
    answers = [ReadAnswer(score, f"answer {n}") for n, score in enumerate([5, 1, 5, 2, 5, 3])]
    found = paired(answers, {5}, FIVE, margin=2, most=9, rng=Random(0)).pairs
    assert len(found) == 3
    assert len({one.text for two in found for one in two}) == 6


@pytest.mark.parametrize(
    ("scores", "common"), [([3, 3, 1], {3}), ([3, 1], set()), ([], set()), ([2, 2, 4, 4, 5], set())]
)
def test_a_majority_is_one_score(scores, common):
    assert majority(scores) == common


@pytest.mark.parametrize(
    ("one", "right"),
    [
        (item(4), {4}),
        (item(3.5), {3, 4}),
        (item(3.4), {3}),
        (item(3, ratings=(2.0, 4.0, 4.0)), {3, 4}),
        (pair(1), {1}),
        (pair(0.5), {0, 1}),
    ],
)
def test_the_right_levels_are_what_people_said(one, right):
    levels = task_of(one).criterion.rubric.scores
    assert right_levels(example_of(one, make_format("nano"), SET), levels) == right


def test_labels_may_be_letters():
    two = pair(1, ratings=(1.0, 1.0, 0.0), reason="Output 2 says it well.")
    example = example_of(two, make_format("prometheus"), SET)
    assert example.labels == ("A", "B") and example.soft
    assert right_levels(example, (0, 1)) == {1}


# The folder


def written(score, reason="It says what it should say."):
    return f"Reason: {reason}\nQuotes: none\nScore: {score}"


def gold_of(prompt):
    """The question number decides what people said: 1 to 5, over and over."""
    return int(prompt.split("Question ")[1].split("?")[0]) % 5 + 1


@pytest.fixture
def data(tmp_path):
    """Ten examples to train on and five for development, as `glider data` writes them."""
    folder = tmp_path / "data"
    folder.mkdir()
    items = [
        item(n % 5 + 1, id=str(n), input=f"Question {n}?", output=f"Answer number {n}, at length.")
        for n in range(15)
    ]
    bare = make_format("nano")  # asked score first, and bare: what is made here is neither
    made = [example_of(one, bare, SET, explained=False) for one in items]
    write_lines(folder / "train.jsonl.gz", made[:10])
    write_lines(folder / "dev.jsonl.gz", made[10:])
    tasks = [task_of(one) for one in items]
    write_lines(
        folder / "tasks.jsonl.gz",
        [
            ExampleTask(id=e.id, sample=t.sample, criterion=t.criterion)
            for e, t in zip(made, tasks, strict=True)
        ],
    )
    return folder


def manifest(**settings):
    return Manifest.of(run_id="r", judge="scripted/x", settings=settings, criteria={},
                       input_path="data", input_sha256="0")  # fmt: skip


def right_then_wrong(request):
    """Even answers are right, odd ones as far off as can be."""
    gold = gold_of(request.messages[1].content)
    return written(gold if request.decoding.seed % 2 == 0 else (1 if gold > 3 else 5))


def run(data, out, script, *, resume=False, samples=2, limit=None, temperature=1.0, **how):
    asked = questions(data, FORM, limit=limit, seed=0)
    every = [q for prompts in asked.values() for q in prompts.questions]
    backend = ScriptedBackend(script)
    with (
        locked_folder(out, manifest(temperature=temperature), resume=resume),
        SampledAnswers(out) as answers,
    ):
        lost = ask(backend, every, answers, samples=samples, temperature=temperature, seed=0)
        result = write_pairs(out, asked, answers, FORM, Pairing(samples=samples, **how),
                             model="scripted/x", temperature=1.0)  # fmt: skip
    return result, backend.requests, lost


def test_a_folder_of_pairs(data, tmp_path):
    result, requests, lost = run(data, tmp_path / "out", right_then_wrong)
    assert len(requests) == 15 * 2 and not lost
    for request in requests:
        assert request.opening == "Reason: " and request.grammar is not None
        assert request.decoding.temperature == 1.0
    train, dev = result.splits["train"], result.splits["dev"]
    assert (train.prompts, train.asked, train.readable, train.right) == (10, 20, 20, 10)
    # Of 3 and a wrong 5 the distance is half a scale.
    assert train.pairs == 10 and train.by_margin == {"0.50": 2, "0.75": 4, "1.00": 4}
    assert train.by_set == {"toy": (10, 10)} and dev.pairs == 5
    assert result.licences == {"CC0": 10}
    pairs = list(read_preferences(tmp_path / "out/preferences-train.jsonl.gz"))
    assert len(pairs) == 10 and len({one.id for one in pairs}) == 10
    for one in pairs:
        gold = gold_of(one.messages[1].content)
        assert one.opening == "Reason: " and one.score == gold
        assert one.chosen.endswith(f"\nScore: {gold}") and not one.chosen.startswith("Reason")
        assert one.rejected.endswith(f"\nScore: {1 if gold > 3 else 5}")
    assert "| pairs | 10 | 5 |" in (tmp_path / "out/card.md").read_text()


def test_what_cannot_be_read_is_counted_and_learnt_from_in_no_way(data, tmp_path):
    said = {
        0: right_then_wrong,
        1: lambda _: written(9),
        2: lambda _: "no score at all",
        3: lambda _: Generation(text=written(3), finish="length"),
        4: right_then_wrong,
        5: right_then_wrong,
    }
    result, _, _ = run(
        data, tmp_path / "out", lambda r: said[r.decoding.seed](r), samples=6, limit=5
    )
    train = result.splits["train"]
    assert (train.prompts, train.there, train.asked, train.readable) == (5, 10, 30, 15)
    assert train.unreadable == {"score_outside_rubric": 5, "missing_part": 5, "truncated": 5}
    assert result.splits["dev"].prompts == 3  # half of five, like half of ten
    texts = [one.rejected for one in read_preferences(tmp_path / "out/preferences-train.jsonl.gz")]
    assert len(texts) == 5 and not any("Score: 9" in text for text in texts)


def test_a_majority_needs_no_people(data, tmp_path):
    """Two of three say 1 whatever people say; the third says 5."""
    script = lambda r: written(5 if r.decoding.seed == 2 else 1)  # noqa: E731
    result, _, _ = run(data, tmp_path / "out", script, samples=3, choose="majority")
    assert result.splits["train"].pairs == 10 and result.splits["train"].right == 20
    for one in read_preferences(tmp_path / "out/preferences-train.jsonl.gz"):
        assert one.chosen.endswith("Score: 1") and one.score == 1


def test_a_killed_run_goes_on_and_asks_nothing_twice(data, tmp_path):
    out, stop = tmp_path / "out", KeyboardInterrupt()

    def until_twelve(request, seen=[]):  # noqa: B006
        seen.append(request)
        if len(seen) > 12:
            raise stop
        return right_then_wrong(request)

    with pytest.raises(KeyboardInterrupt):
        run(data, out, until_twelve)
    assert not (out / "result.json").exists()
    # The kill came in the middle of a line.
    with (out / "answers.jsonl").open("ab") as file:
        file.write(b'{"example":"x","num')
    with SampledAnswers(out) as answers:
        every = [q.example.id for p in questions(data, FORM, limit=None, seed=0).values()
                 for q in p.questions]  # fmt: skip
        kept = [one for example in every for one in answers.of(example, 2)]
    assert 0 < len(kept) < 30
    _, requests, _ = run(data, out, right_then_wrong, resume=True)
    assert len(requests) == 30 - len(kept)
    asked = Counter(
        (line["example"], line["number"])
        for line in map(json.loads, (out / "answers.jsonl").read_text().splitlines())
    )
    assert len(asked) == 30 and set(asked.values()) == {1}
    # The files are those of a run that was never stopped.
    run(data, tmp_path / "whole", right_then_wrong)
    for name in (
        "preferences-train.jsonl.gz",
        "preferences-dev.jsonl.gz",
        "card.md",
        "result.json",
    ):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


SLOW_RUN = """
import sys, time
from pathlib import Path
from unit.studies.test_self_rationalization import right_then_wrong, run

def slowly(request):
    time.sleep(0.02)
    return right_then_wrong(request)

run(Path(sys.argv[1]), Path(sys.argv[2]), slowly)
"""


def test_a_process_that_is_killed_keeps_what_it_has(data, tmp_path):
    out = tmp_path / "out"
    journal = out / "answers.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_RUN, str(data), str(out)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        while process.poll() is None and not (journal.exists() and journal.stat().st_size):
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait()
    kept = journal.read_bytes()
    assert process.returncode == -signal.SIGKILL and kept
    _, requests, _ = run(data, out, right_then_wrong, resume=True)
    assert len(requests) == 30 - kept.count(b"\n")
    assert journal.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])


def test_the_same_answers_are_paired_anew_and_more_are_added(data, tmp_path):
    out = tmp_path / "out"
    run(data, out, right_then_wrong, limit=5)
    result, requests, _ = run(data, out, right_then_wrong, resume=True, margin=4.0, limit=5)
    assert requests == [] and set(result.splits["train"].by_margin) == {"1.00"}
    for limit, already in ((7, 16), (None, 22)):  # 5 + 3 prompts, then 7 + 4
        _, requests, _ = run(data, out, right_then_wrong, resume=True, limit=limit)
        assert len(requests) == (2 * 15 if limit is None else 2 * 11) - already
    _, requests, _ = run(data, out, right_then_wrong, resume=True, samples=3)
    assert len(requests) == 15


def test_failures(data, tmp_path):
    script = lambda r: [right_then_wrong(r), right_then_wrong(r), TimedOut("late"),  # noqa: E731
                        PromptTooLong(9, 8)][r.decoding.seed]  # fmt: skip
    result, _, lost = run(data, tmp_path / "out", script, samples=4)
    train = result.splits["train"]
    assert train.failed == {"prompt_too_long": 10} and train.missing == 10
    assert lost == {"timeout": 15}
    # What lies in the prompt is not asked again.
    _, requests, _ = run(data, tmp_path / "out", right_then_wrong, samples=4, resume=True)
    assert len(requests) == 15
    with pytest.raises(Refused):
        run(data, tmp_path / "none", lambda _: Refused("no such key"))


def test_no_pair_is_an_error_that_keeps_the_answers(data, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(EmptySplit, match="10 none right|all right"):
        run(data, out, lambda r: written(gold_of(r.messages[1].content)))
    assert not list(out.glob("preferences*")) and not (out / "result.json").exists()
    assert len((out / "answers.jsonl").read_text().splitlines()) == 30


def test_bad_folders(data, tmp_path):
    out = tmp_path / "out"
    run(data, out, right_then_wrong)
    with pytest.raises(RunError, match="not empty"):
        run(data, out, right_then_wrong)
    with pytest.raises(ManifestMismatch, match=r"settings.temperature: 1.0 before, 0.5 now"):
        run(data, out, right_then_wrong, resume=True, temperature=0.5)
    (out / "answers.jsonl").write_text('{"example": "x"}\n')
    with pytest.raises(DataError, match=r"answers.jsonl:1: damaged line"):
        run(data, out, right_then_wrong, resume=True)
    (data / "tasks.jsonl.gz").unlink()
    with pytest.raises(DataError, match="make the folder anew"):
        questions(data, FORM, limit=None, seed=0)
    write_lines(data / "tasks.jsonl.gz", [])
    with pytest.raises(DataError, match="has no example"):
        questions(data, FORM, limit=None, seed=0)
    write_lines(data / "train.jsonl.gz", [])
    with pytest.raises(EmptySplit):
        questions(data, FORM, limit=None, seed=0)
