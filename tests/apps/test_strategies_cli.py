"""`glider judge --strategy`: as people run it, killed and resumed, and with the real small model."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.resources import files

import in_process
import pytest

from glider import Judge, JudgeTask, Judgment, PairTask, Sample, load_criterion
from glider.backends.embedded import EmbeddedBackend
from glider.core.errors import ModelFileError
from glider.formats.nano import NanoFormat
from glider.judging.strategies import STRATEGIES, with_strategies
from glider.judging.strategies.jury import Jury
from glider.judging.strategies.parts import Decompose
from glider.testing.server import FakeServer

JUDGED = json.dumps({"reasoning": "Fine.", "highlights": [], "score": 4})


def spoken(body):
    """A judge's JSON where one is asked for; a question where something is to be written."""
    system = body["messages"][0]["content"]
    return JUDGED if system.startswith("You are a strict") else "Does it say when?"


@pytest.fixture(scope="module")
def server():
    with FakeServer(answer=spoken) as running:
        yield running


@pytest.fixture
def glider(tmp_path, server):
    def run(*words, code=0):
        env = {"OPENAI_BASE_URL": server.url, "COLUMNS": "200"}
        finished = in_process.glider("judge", *words, cwd=tmp_path, env=env)
        assert finished.returncode == code, finished.stderr
        return finished

    return run


ROWS = [{"id": str(n), "input": "When?", "output": f"At {n}."} for n in range(12)]


@pytest.fixture
def rows(tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return ["rows.jsonl", "-m", "openai/fake", "-c", "relevance"]


def test_what_was_written_is_in_every_outcome_and_the_manifest_names_it(glider, rows, tmp_path):
    done = glider(*rows, "--strategy", "rules,questions", "--run", "run")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(ROWS)
    for outcome in told:
        assert [(s["name"], s["text"]) for s in outcome["steps"]] == [
            ("questions", "Does it say when?")
        ]
        assert outcome["judge"] == "openai/fake chat-json+rules+questions"
        assert outcome["version"] == 2
    settings = json.loads((tmp_path / "run/manifest.json").read_text())["settings"]
    assert settings["strategies"] == ["rules", "questions"]
    report = in_process.glider("report", "run", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    assert "chat-json+rules+questions" in (tmp_path / "run/report.html").read_text("utf-8")
    refused = glider(*rows, "--strategy", "rules", "--run", "run", "--resume", code=2)
    assert "settings.strategies" in refused.stderr
    again = glider(
        *rows, "--strategy", "rules", "--strategy", "questions", "--run", "run", "--resume"
    )
    assert "12 outcomes done" in again.stderr


def test_a_jury_and_given_aspects(glider, rows):
    words = ["--strategy", "decompose", "--aspect", "Truth=2", "--aspect", "Tone=1"]
    done = glider(*rows, *words, "--jury", "openai/other", "--limit", "2")
    for outcome in map(json.loads, done.stdout.splitlines()):
        assert outcome["judge"].startswith("jury(openai/fake|openai/other) chat-json+decompose(")
        assert [s["name"].split()[0] for s in outcome["steps"]] == [
            "openai/fake", "Truth", "Tone", "openai/other", "Truth", "Tone", "spread",
        ]  # fmt: skip


def test_the_summary_of_a_cascade_has_the_share_that_was_passed_on(glider, rows, tmp_path):
    # The server tells no probabilities, so nothing of the first model can be relied on.
    done = glider(*rows, "--cascade", "openai/other", "--cascade-until", "0.9", "--run", "run")
    for outcome in map(json.loads, done.stdout.splitlines()):
        assert outcome["judge"] == "cascade(openai/fake|openai/other|0.9) chat-json"
        assert [step["name"] for step in outcome["steps"]] == ["cascade: passed on"]
    assert "passed on to the second model: 12 of 12 (100% [" in done.stderr
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["cascade"]["passed_on"] == summary["cascade"]["asked"] == 12
    settings = json.loads((tmp_path / "run/manifest.json").read_text())["settings"]
    assert (settings["cascade"], settings["cascade_until"]) == ("openai/other", "0.9")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--strategy", "ruls"], 2, "did you mean 'rules'"),
        (["--strategy", "rules,rules"], 2, "given twice"),
        (["--aspect", "Tone"], 2, "--aspect is for --strategy decompose"),
        (["--strategy", "swap", "--single-order"], 2, "both orders"),
        (["--strategy", "swap"], 3, "prepare/task"),
        (["--jury", "openai/fake"], 2, "different judges"),
        (["--jury", "openai/b", "--max-cost", "1", "--price-in", "1"], 2, "a jury has several"),
        (["--cascade", "openai/fake"], 2, "two different judges"),
        (["--cascade", "openai/b", "--jury", "openai/c"], 2, "choose one"),
        (["--cascade-until", "0.9"], 2, "--cascade-until is for --cascade"),
    ],
)
def test_what_cannot_be_is_refused(glider, rows, words, code, told):
    finished = glider(*rows, *words, code=code)
    assert told in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize("names", ["rules", "questions,rules"])
def test_kill_it_and_lose_nothing(tmp_path, names):
    """SIGKILL at three moments, each followed by --resume: every row exactly once."""
    n, rng = 200, random.Random(5)
    rows = [json.dumps({"id": str(i), "input": "When?", "output": f"At {i}."}) for i in range(n)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    words = ["rows.jsonl", "-m", "openai/fake", "-c", "relevance", "--run", "run"]
    words += ["--strategy", names, "--max-connections", "8"]
    journal = tmp_path / "run/journal.jsonl"
    with FakeServer(answer=spoken, delay_s=0.01) as slow:

        def start(*more):
            return subprocess.Popen(
                [sys.executable, "-m", "glider.cli.main", "judge", *words, *more],
                cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                env=os.environ | {"OPENAI_BASE_URL": slow.url},
            )  # fmt: skip

        for kill in range(3):
            process = start(*(["--resume"] if kill else []))
            wanted = 20 + kill * 50 + rng.randrange(30)
            try:
                deadline = time.monotonic() + 90
                while not journal.exists() or journal.read_bytes().count(b"\n") < wanted:
                    assert time.monotonic() < deadline
                    time.sleep(0.005)
            finally:
                process.send_signal(signal.SIGKILL)
                process.communicate()
        process = start("--resume")
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
    counted = Counter(json.loads(line)["row"] for line in journal.read_bytes().splitlines())
    assert counted == Counter(range(n))


# ---- the real model

SAMPLES = [
    Sample.of(**json.loads(line))
    for line in (files("glider.demo") / "samples.jsonl").read_text("utf-8").splitlines()[:3]
]


@pytest.fixture(scope="module")
def embedded():
    try:
        backend = EmbeddedBackend(slots=3)
    except ModelFileError as error:
        pytest.skip(f"the model cannot be had here: {error}")
    with backend:
        yield backend


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*STRATEGIES.names()} - {"mean", "swap"}))
def test_the_small_model_can_be_put_to_every_strategy(embedded, name):
    bare = NanoFormat(explain=False)
    # Asked for aspects of its own, the small model may name one three times, which fails (typed).
    strategy = Decompose(["support", "completeness"]) if name == "decompose" else name
    judge = with_strategies(Judge(embedded, format=bare), [strategy])
    criterion = load_criterion("faithfulness")
    for outcome in judge.judge_many([JudgeTask(sample, criterion) for sample in SAMPLES]):
        assert isinstance(outcome, Judgment), outcome
        low, high = criterion.rubric.low, criterion.rubric.high
        assert low <= outcome.expected <= high
        assert outcome.score in criterion.rubric.scores
        assert bool(outcome.steps) is (name not in ("rules", "pointwise"))
        assert outcome.usage.prompt_tokens > 0


@pytest.mark.slow
def test_the_small_model_compares_and_sits_in_a_jury(embedded):
    criterion = load_criterion("faithfulness")
    context = SAMPLES[0]["context"]
    sample = Sample.of(
        outputs=[SAMPLES[0]["output"], "Nobody knows."], input="Sum it up.", context=context
    )
    work = PairTask(sample, criterion, "output 1", "output 2")
    bare = Judge(embedded, format=NanoFormat(explain=False))
    by_reference = with_strategies(bare, ["reference"])
    (swapped,) = with_strategies(bare, ["swap", "rules"]).judge_many([work])
    assert len(swapped.orders) == 2
    (verdict,) = Jury([bare, by_reference]).judge_many([work])
    (alone,) = bare.judge_many([work])
    shares = [step.score for step in verdict.steps if step.name in (bare.id, by_reference.id)]
    assert verdict.p_first == pytest.approx(sum(shares) / 2)
    assert shares[0] == pytest.approx(alone.p_first, abs=0.02)


@pytest.mark.slow
def test_the_small_model_draws_several_answers(embedded):
    judge = with_strategies(Judge(embedded, format=NanoFormat(order="reason-first")), ["mean"])
    outcome = judge.judge(SAMPLES[0], "faithfulness")
    assert 1 <= len(outcome.sampled) <= 4
    assert outcome.expected == pytest.approx(sum(outcome.sampled) / len(outcome.sampled))
