"""What all adapters share, with a scripted engine in place of a host's judge."""

import asyncio
import json
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from glider import Judge, JudgeSettings, JudgmentFailed, SetupError
from glider.backends.scripted import ScriptedBackend
from glider.core.errors import AccessRefused, TimedOut
from glider.core.judgments import Judgment, outcome_from
from glider.integrations import shared
from glider.integrations.shared import CriteriaJudge, PassingScore, opened

TEXT = "🦩🦩 We open at nine."
ANSWER = 'Score: 4\nQuotes:\n- "nine"\nReason: It says nine.'


def judging(answer=ANSWER, criteria="faithfulness", **more):
    backend = ScriptedBackend(lambda request: answer, **more)
    return CriteriaJudge(criteria, Judge(backend)), backend


def test_a_reply_has_points_share_reason_and_spans_in_code_points():
    asked, _ = judging(criteria=["faithfulness", "conciseness"])
    replies = asked.ask({"output": TEXT, "context": "Open 8:00 to 17:00."})
    assert [reply.criterion.name for reply in replies] == asked.names
    for reply in replies:
        assert (reply.points, reply.share, reply.error) == (4.0, 0.75, None)
        assert reply.said == "It says nine. [nine]"
        (span,) = reply.record["highlights"][0]["spans"]
        assert TEXT[span["start"] : span["end"]] == "nine"
        assert "raw_text" not in reply.record
        assert outcome_from(json.loads(json.dumps(reply.record))).score == 4


def test_points_are_expected_where_the_engine_tells_probabilities():
    import math

    even = {str(level): math.log(0.2) for level in range(1, 6)}
    asked, _ = judging(label_logprobs=even)
    (reply,) = asked.ask({"output": TEXT, "context": "Open."})
    assert reply.points == pytest.approx(3.0) and reply.share == pytest.approx(0.5)


def test_a_text_passes_from_a_score_on_and_a_failure_neither_passes_nor_fails():
    judge = Judge(ScriptedBackend([ANSWER, ANSWER.replace("4", "3"), TimedOut("no answer")]))
    passing = PassingScore("conciseness", 4, judge)
    good, bad = passing.check({"output": TEXT}), passing.check({"output": TEXT})
    assert [(c.passes, c.points, c.share) for c in (good, bad)] == [
        (True, 4, 0.75),
        (False, 3, 0.5),
    ]
    ((phrase, span),) = bad.spans
    assert TEXT[span.start : span.end] == phrase == "nine"
    with pytest.raises(JudgmentFailed, match="generate/timeout"):
        passing.check({"output": TEXT})


@pytest.mark.parametrize("pass_from", [1, 0, 5.5])
def test_a_score_that_every_text_or_none_reaches_is_refused(pass_from):
    with pytest.raises(SetupError, match="above 1 and at most 5, the scale of conciseness"):
        PassingScore("conciseness", pass_from)


UNFIT = [
    ({"context": "Open."}, "bad_record", "no column 'output'"),
    ({"output": None, "context": "Open."}, "bad_record", "null"),
    ({"output": object(), "context": "Open."}, "bad_record", "type object"),
    ({"output": TEXT}, "missing_field", "context"),
]


@pytest.mark.parametrize(("texts", "code", "said"), UNFIT)
def test_a_text_that_cannot_be_judged_is_a_failure_without_a_number(texts, code, said):
    asked, backend = judging()
    (reply,) = asked.ask(texts)
    assert asked.ask_all([texts])[0][0].error == reply.error
    assert (reply.points, reply.share, reply.outcome.code) == (None, None, code)
    assert said in reply.error and reply.said == f"not judged: {reply.error}"
    assert backend.requests == []


def test_an_engines_failure_is_a_reply_and_what_stops_a_run_is_raised():
    asked, _ = judging(TimedOut("no answer in 2 s"))
    (reply,) = asked.ask({"output": TEXT, "context": "Open."})
    assert reply.points is None and reply.error == "generate/timeout: no answer in 2 s"
    asked, _ = judging(AccessRefused("wrong key"))
    for ask in (asked.ask, lambda texts: asked.ask_all([texts])):
        with pytest.raises(AccessRefused):
            ask({"output": TEXT, "context": "Open."})


def test_many_texts_come_back_in_order_with_their_failures():
    asked, _ = judging(criteria=["conciseness", "faithfulness"])
    rows = [{"output": f"{n}", "context": "c"} if n % 3 else {"context": "c"} for n in range(30)]
    found = asked.ask_all(iter(rows))
    assert [len(replies) for replies in found] == [2] * 30
    assert [replies[0].points is None for replies in found] == [n % 3 == 0 for n in range(30)]
    ids = [replies[0].outcome.sample_id for replies in found]
    assert len(set(ids)) == 21  # the unfit rows are the same text


def test_an_adapter_needs_criteria_that_are_there():
    for wrong in ([], "record", "faithfulnes", ["conciseness", "conciseness"]):
        with pytest.raises(SetupError):
            CriteriaJudge(wrong)


def test_names_of_the_hosts_texts_come_from_presets_and_maps():
    asked = CriteriaJudge(
        "faithfulness",
        Judge(ScriptedBackend(lambda _: ANSWER)),
        preset="mlflow",
        maps={"context": "inputs.page"},
    )
    (reply,) = asked.ask({"inputs": {"page": "Open."}, "outputs": TEXT, "expectations": None})
    assert isinstance(reply.outcome, Judgment)
    span = reply.outcome.highlights[0].spans[0]
    assert span.field == "output"


def test_equal_settings_share_one_judge_however_many_threads_open_it(monkeypatch):
    made = []

    def open_once(self, progress=None):
        made.append(self)
        threading.Event().wait(0.05)
        return Judge(ScriptedBackend(lambda _: ANSWER))

    monkeypatch.setattr(shared, "_OPENED", {})
    monkeypatch.setattr(JudgeSettings, "open", open_once)
    monkeypatch.setattr(shared.atexit, "register", lambda _: None)
    copies = [
        pickle.loads(pickle.dumps(CriteriaJudge("faithfulness", "embedded"))) for _ in range(8)
    ]
    with ThreadPoolExecutor(8) as threads:
        judges = set(threads.map(lambda asked: asked.judge, copies))
    assert len(made) == len(judges) == 1
    assert opened(JudgeSettings(model="embedded")) in judges
    assert opened(JudgeSettings(model="embedded", samples=2)) not in judges


def test_concurrent_tasks_wait_in_one_queue_and_cancelling_one_ends_its_work():
    from served import Engine

    engine = Engine(slow=60)
    asked = CriteriaJudge("faithfulness", Judge(engine))

    async def many():
        texts = ["SLOW", *map(str, range(31))]
        tasks = [
            asyncio.create_task(asked.ask_async({"output": text, "context": "c"})) for text in texts
        ]
        while engine.begun < 32:
            await asyncio.sleep(0.01)
        tasks[0].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(asyncio.wait_for(many(), 120))
    assert engine.begun == 32 and engine.cancelled == 1
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(replies[0].points is not None for replies in found[1:])


def test_no_host_is_imported_before_its_adapter():
    program = (
        "import sys, glider.integrations.shared\n"
        "hosts = 'inspect_ai deepeval trl langsmith mlflow phoenix lm_eval guardrails'.split()\n"
        "print([name for name in [*hosts, 'numpy', 'torch'] if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr
