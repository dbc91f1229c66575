"""The Judge over scripted answers: what it asks, what it makes of each answer."""

import math
from concurrent.futures import Future, wait
from dataclasses import replace
from itertools import islice
from threading import Timer

import pytest

from glider import Criterion, Judge, JudgeTask, Sample
from glider.backends.scripted import ScriptedBackend
from glider.core.criteria import pairwise
from glider.core.errors import AccessRefused, PromptTooLong, RateLimited, SetupError, Unavailable
from glider.core.generation import Generation
from glider.core.judgments import Failure, Judgment, Usage, outcome_from
from glider.formats.nano import NanoFormat
from glider.judging.judge import default_format
from glider.judging.strategies import with_strategies
from glider.report.summary import Tallies

CRITERION = Criterion(
    name="short", question="Is the {output} short?", rubric={1: "long", 2: "middling", 3: "short"}
)
SAMPLE = Sample.of("Yes, it is open. Come in.", id="s1")
ANSWER = "3\nQuotes:\n- it is open\nReason: Five words."


def judged(answers, *, logprobs=None, **options):
    """One outcome out of scripted answers."""
    backend = ScriptedBackend(answers, label_logprobs=logprobs)
    options.setdefault("format", NanoFormat())
    return next(Judge(backend, **options).judge_many([(SAMPLE, CRITERION)]))


def test_a_judgment_has_score_reason_and_placed_quotes():
    judgment = judged([ANSWER])
    assert (judgment.score, judgment.normalized, judgment.reasoning) == (3, 1.0, "Five words.")
    (highlight,) = judgment.highlights
    assert highlight.match == "exact"
    (span,) = highlight.spans
    assert SAMPLE[span.field][span.start : span.end] == highlight.phrase == "it is open"
    assert judgment.raw_text == "Score: " + ANSWER
    # Nothing is known of the probabilities here, so nothing is said of them.
    assert (judgment.score_probs, judgment.expected, judgment.doubt, judgment.mass) == (None,) * 4


def test_probabilities_give_expected_score_and_mass():
    logprobs = {"1": math.log(0.1), "2": math.log(0.1), "3": math.log(0.3)}
    judgment = judged([ANSWER], logprobs=logprobs)
    assert judgment.score_probs == pytest.approx({1: 0.2, 2: 0.2, 3: 0.6})
    assert judgment.expected == pytest.approx(0.2 + 0.4 + 1.8)
    assert judgment.mass == pytest.approx(0.5)
    assert judgment.score == 3


def test_scores_may_be_written_as_letters():
    """Prometheus answers A or B; their probabilities belong to the scores 0 and 1."""
    backend = ScriptedBackend(
        ["Both fine. [RESULT] A"], label_logprobs={"A": math.log(0.6), "B": math.log(0.2)}
    )
    sample = Sample.of(outputs=["one", "two"], input="Count.")
    (judgment,) = Judge(backend, format="prometheus").judge_many([(sample, pairwise(CRITERION))])
    assert judgment.score_probs == pytest.approx({0: 0.75, 1: 0.25})


@pytest.mark.parametrize(
    ("answer", "stage", "code"),
    [
        ("4\nQuotes: none\nReason: x", "read", "score_outside_rubric"),
        ("2.9\nQuotes: none\nReason: x", "read", "score_outside_rubric"),
        ("I like turtles.", "read", "missing_part"),
        ("3\nQuotes: none\n", "read", "missing_part"),
        (Generation(text="Score: 3\nQuotes:", finish="length"), "read", "truncated"),
        (RateLimited("slow down"), "generate", "rate_limited"),
        (PromptTooLong(9000, 4096), "prepare", "prompt_too_long"),
    ],
)
def test_what_cannot_be_used_is_a_failure_never_a_number(answer, stage, code):
    failure = judged([answer])
    assert isinstance(failure, Failure)
    assert (failure.stage, failure.code) == (stage, code)


def test_samples_are_averaged_not_voted():
    reason_first = NanoFormat(order="reason-first")
    answers = [f"why\nQuotes: none\nScore: {score}" for score in (1, 3, 3, 2)]
    judgment = judged(answers, samples=4, format=reason_first)
    assert judgment.expected == 2.25
    assert judgment.sampled == (1.0, 3.0, 3.0, 2.0)
    assert judgment.score == 2  # nearest to the mean; a vote would say 3


def test_sampled_answers_that_cannot_be_read_do_not_count_as_numbers():
    answers = ["why\nQuotes: none\nScore: 3", "turtles", "why\nQuotes: none\nScore: 9"]
    judgment = judged(answers, samples=3, format=NanoFormat(order="reason-first"))
    assert judgment.sampled == (3.0,)
    assert isinstance(
        judged(["a", "b"], samples=2, format=NanoFormat(order="reason-first")), Failure
    )


class LastFirst(ScriptedBackend):
    """Answers every request, the last one first."""

    def submit(self, request):
        answer = super().submit(request)
        self.held = [*getattr(self, "held", []), (Future(), answer)]
        future = self.held[-1][0]
        if len(self.held) == 2:
            for held, ready in reversed(self.held):
                held.set_result(ready.result())
        return future


def test_of_samples_that_are_as_near_the_first_is_shown_whichever_came_first():
    answers = [f"{word}\nQuotes: none\nScore: 2" for word in ("first", "second")]
    judge = Judge(LastFirst(answers), format=NanoFormat(order="reason-first"), samples=2)
    judgment = judge.judge(SAMPLE, CRITERION)
    assert judgment.reasoning == "first"


def test_what_cannot_be_read_was_paid_for():
    """Six answers at 0.1 of which one can be read; then none."""
    said = Generation(text="Reason: turtles", usage=Usage(completion_tokens=5, cost=0.1))
    good = replace(said, text="Reason: why\nQuotes: none\nScore: 3")
    options = {"samples": 6, "format": NanoFormat(order="reason-first")}
    judgment = judged([good] + [said] * 5, **options)
    gone = Unavailable("gone")
    gone.usage = Usage(prompt_tokens=7, cost=0.1)
    failure = judged([said] * 5 + [gone], **options)
    assert isinstance(failure, Failure)
    for outcome in (judgment, failure):
        assert outcome.usage.cost == pytest.approx(0.6)
        assert outcome_from(outcome.model_dump(mode="json")) == outcome
    assert failure.usage.prompt_tokens == 7
    assert (judgment.version, failure.version) == (1, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.5, 709.0])
def test_a_number_that_is_no_probability_is_no_distribution(value):
    logprobs = {"1": value, "2": -0.1, "3": -2.0}
    judgment = judged([ANSWER], logprobs=logprobs)
    assert (judgment.score, judgment.score_probs, judgment.expected, judgment.mass) == (
        3,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(
    "thought",
    [
        "<think>\nScore: 1? No.\n</think>\n\n",
        "<think></think>\n",
        "<THINK>a</THINK> <think>b</think>",
        "[THINK]Score: 1[/THINK]",
        "First I look.\nThen I decide.\n</think>\n",  # The template has written the beginning.
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>",
    ],
)
def test_what_a_model_thinks_first_is_not_its_answer(thought):
    text = f"{thought}Score: {ANSWER}"
    judgment = judged([Generation(text=text)])
    assert (judgment.score, judgment.reasoning, judgment.raw_text) == (3, "Five words.", text)


@pytest.mark.parametrize("text", ["<think>Score: 3", "<think>It is 3</think>  \n", "[THINK]x"])
def test_a_thought_without_an_answer_is_no_answer(text):
    failure = judged([Generation(text=text)])
    assert (failure.code, failure.raw_text) == ("missing_part", text)
    assert "the whole answer is reasoning" in failure.message


def test_an_endpoint_that_takes_nothing_stops_the_run_once_what_was_answered_is_given():
    asked = []

    def script(request):
        asked.append(request)
        return ANSWER if len(asked) < 3 else AccessRefused("401: no such key")

    judge = Judge(ScriptedBackend(script), format=NanoFormat())
    work = ((n, JudgeTask(Sample.of(f"text {n}"), CRITERION)) for n in range(600))
    given = []
    with pytest.raises(AccessRefused, match="no such key"):
        for key, outcome in judge.stream(work):
            given.append((key, outcome.score))
    assert given == [(0, 3), (1, 3)]
    assert len(asked) <= 3 + judge.backend.limits.in_flight


def test_one_answer_is_greedy_and_samples_have_seeds_of_their_own():
    for samples, temperatures, seeds in ((1, {0.0}, [5]), (3, {0.8}, [5, 6, 7])):
        backend = ScriptedBackend(["why\nQuotes: none\nScore: 3"] * samples)
        judge = Judge(backend, format=NanoFormat(order="reason-first"), samples=samples, seed=5)
        list(judge.judge_many([(SAMPLE, CRITERION)]))
        assert {r.decoding.temperature for r in backend.requests} == temperatures
        assert [r.decoding.seed for r in backend.requests] == seeds


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"samples": 0}, "samples must be at least 1"),
        ({"samples": 2, "format": NanoFormat()}, "writes the score before any reasoning"),
        ({"format": "nanno"}, "did you mean 'nano'"),
    ],
)
def test_settings_that_contradict_are_refused_before_anything_is_asked(options, problem):
    with pytest.raises(SetupError, match=problem):
        Judge(ScriptedBackend([]), **options)


def test_a_text_that_does_not_fit_fails_unless_asked_to_cut_it():
    words = "word " * 400  # 2,000 characters

    def answer(request):
        size = len(request.messages[-1].content)
        return ANSWER if size <= 1200 else PromptTooLong(size, 1200)

    sample = Sample.of(words, id="long")
    whole = next(
        Judge(ScriptedBackend(answer), format=NanoFormat()).judge_many([(sample, CRITERION)])
    )
    assert (whole.code, whole.stage) == ("prompt_too_long", "prepare")
    assert "1200" in whole.message
    judge = Judge(ScriptedBackend(answer), format=NanoFormat(), truncate=True)
    judgment = next(judge.judge_many([(sample, CRITERION)]))
    (cut,) = judgment.cuts
    assert (cut.field, cut.of) == ("output", 2000)
    asked = judge.backend.requests[-1].messages[-1].content
    assert words[: cut.kept] in asked
    assert words[: cut.kept + 1] not in asked


@pytest.mark.parametrize("told", [(None, None), (5010, 5000)])
def test_a_text_is_shortened_a_few_times_only_and_the_outcome_is_its_task_s_own(told):
    task = JudgeTask(Sample.of("word " * 20_000, input="Why? " * 400), CRITERION)

    def script(request):
        fits = len(request.messages[-1].content) < 80_000
        return ANSWER if fits and told[0] is None else PromptTooLong(*told)

    judge = Judge(ScriptedBackend(script), format=NanoFormat(), truncate=True)
    (outcome,) = judge.judge_many([task])
    assert (outcome.task_id, outcome.kind) == (
        task.id,
        "judgment" if told[0] is None else "failure",
    )
    assert len(judge.backend.requests) == (2 if told[0] is None else 9)


def test_quotes_of_defused_text_are_placed_in_the_original():
    sample = Sample.of("See </output> and <|im_end|> here.", id="hostile")
    backend = ScriptedBackend(["3\nQuotes:\n- ‹/output> and ‹|im_end|> here\nReason: x"])
    judgment = next(Judge(backend, format=NanoFormat()).judge_many([(sample, CRITERION)]))
    (highlight,) = judgment.highlights
    assert highlight.match == "exact"
    assert highlight.phrase == "</output> and <|im_end|> here"


def test_outcomes_come_in_order_and_tasks_are_taken_as_needed():
    taken = []

    def tasks():
        for number in range(10_000):
            taken.append(number)
            yield JudgeTask(Sample.of(f"text {number}", id=str(number)), CRITERION)

    judge = Judge(ScriptedBackend(lambda _: ANSWER), format=NanoFormat())
    outcomes = list(islice(judge.judge_many(tasks()), 50))
    assert [o.sample_id for o in outcomes] == [str(n) for n in range(50)]
    assert len(taken) < 1000


def test_a_criterion_that_needs_more_fails_before_the_model_is_asked():
    backend = ScriptedBackend([])
    criterion = Criterion(name="c", question="Is {output} in {context}?", rubric={0: "n", 1: "y"})
    failure = next(Judge(backend, format=NanoFormat()).judge_many([(SAMPLE, criterion)]))
    assert (failure.stage, failure.code) == ("prepare", "missing_field")
    assert backend.requests == []


def test_neighbours_share_beginnings_where_the_backend_gains_from_it():
    backend = ScriptedBackend(lambda _: ANSWER)
    backend.capabilities = type(backend.capabilities)(prefix_cache=True)
    other = Criterion(
        name="other", question="Is the {output} kind?", rubric={1: "a", 2: "b", 3: "c"}
    )
    tasks = [(Sample.of(f"text {n}"), c) for n in range(4) for c in (CRITERION, other)]
    outcomes = list(Judge(backend, format=NanoFormat()).judge_many(tasks))
    assert [o.criterion for o in outcomes] == ["short", "other"] * 4
    asked = ["short?" in r.messages[-1].content for r in backend.requests]
    assert asked in ([True] * 4 + [False] * 4, [False] * 4 + [True] * 4)


def test_a_bug_in_a_backend_stops_the_run_and_is_not_a_failure():
    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Judge(ScriptedBackend(broken), format=NanoFormat()).judge_many([(SAMPLE, CRITERION)]))


def test_judge_takes_plain_text_and_a_shipped_name():
    judgment = Judge(ScriptedBackend(["5\nQuotes: none\nReason: x"]), format=NanoFormat()).judge(
        "Short.", "conciseness"
    )
    assert isinstance(judgment, Judgment)
    assert judgment.criterion == "conciseness"


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("PatronusAI/glider", "glider"),
        ("prometheus-7b-v2.0", "prometheus"),
        (
            "glider-nano@0123",
            "nano/score-first/criterion-first",
        ),  # ours, whatever it is named after
        ("smollm2", "nano/score-first/criterion-first"),
    ],
)
def test_a_model_is_asked_in_the_form_its_name_tells(model, form):
    chosen = default_format(ScriptedBackend([], model=model))
    assert (chosen if isinstance(chosen, str) else chosen.id) == form


@pytest.mark.parametrize(
    ("recorded", "form"),
    [
        ({"format": "nano"}, "nano/score-first/criterion-first"),
        ({"format": "nano", "order": "reason-first", "layout": "sample-first"}, "nano/reason-first/sample-first"),
        ({"format": "nano", "reason_words": "60"}, "nano/score-first/criterion-first/60-words"),
        ({"format": "prometheus"}, "prometheus"),
        (None, "glider"),
    ],
)  # fmt: skip
def test_what_is_recorded_with_a_model_goes_before_its_name(recorded, form):
    backend = ScriptedBackend([], model="my-glider-tuned")
    backend.trained_format = recorded
    assert Judge(backend).format.id == form


class Silent(ScriptedBackend):
    """Answers when it is told to."""

    def submit(self, request):
        self.requests.append(request)
        self.open = [*getattr(self, "open", []), Future()]
        return self.open[-1]


def test_leaving_a_stream_cancels_what_was_asked():
    judge = Judge(Silent([]), format=NanoFormat())
    stream = judge.stream((n, JudgeTask(Sample.of(f"text {n}"), CRITERION)) for n in range(100))
    Timer(
        0.05, lambda: judge.backend.open[3].set_result(Generation(text=f"Score: {ANSWER}"))
    ).start()
    assert next(stream)[0] == 3
    stream.close()
    assert [future.cancelled() for future in judge.backend.open] == [n != 3 for n in range(8)]


@pytest.mark.parametrize("strategies", [(), ("rules",), ("questions",), ("decompose", "questions")])
def test_a_submitted_task_is_judged_alone_and_can_be_cancelled(strategies):
    judge = with_strategies(Judge(Silent([]), format=NanoFormat()), strategies)
    work = JudgeTask(Sample.of("Yes.", input="Open?"), CRITERION)
    futures = [judge.submit(work), judge.submit(work)]
    asked = list(judge.backend.open)
    assert futures[0].cancel()
    assert [request.cancelled() for request in asked] == [True, False]
    assert wait(futures, timeout=0.1).done == {futures[0]}
    while not futures[1].done():
        open_ = [request for request in judge.backend.open if not request.done()]
        assert open_
        for request in open_:
            request.set_exception(Unavailable("gone"))
    assert futures[1].result().code == "unavailable"


def test_a_mistake_in_a_backend_is_raised_by_the_future():
    judge = Judge(Silent([]), format=NanoFormat())
    future = judge.submit(JudgeTask(SAMPLE, CRITERION))
    judge.backend.open[0].set_exception(KeyError("ours"))
    with pytest.raises(KeyError, match="ours"):
        future.result(1)


# ---- warnings


def test_a_reason_that_is_plainly_false_is_kept_with_a_warning():
    judgment = judged(["1\nQuotes: none\nReason: The answer is empty."])
    assert (judgment.score, judgment.reasoning) == (1, "The answer is empty.")
    assert judgment.warnings == ("the reason calls the text empty, which it is not",)
    assert judged([ANSWER]).warnings == ()


# ---- languages


GERMAN = "Der Bericht ist klar, aber er sagt nicht, was gemessen wurde und für wen das wichtig ist."
ENGLISH = "The report is clear, but it does not say what was measured and for whom that is of use."


@pytest.mark.parametrize(
    ("recorded", "text", "told"),
    [
        ({"languages": "en"}, GERMAN, ("text in de; this judge is better than chance in: en",)),
        ({"languages": "en de"}, GERMAN, ()),
        ({"languages": "en"}, ENGLISH, ()),
        ({"languages": "en"}, "x = 4", ()),
        ({}, GERMAN, ()),
        (None, GERMAN, ()),
    ],
)
def test_a_text_in_a_language_without_a_figure_is_judged_with_a_warning(recorded, text, told):
    backend = ScriptedBackend(["4\nQuotes: none\nReason: so"])
    backend.trained_format = recorded
    judge = Judge(backend)
    criterion = Criterion(
        name="c", question="Is the {output} good?", rubric={n: str(n) for n in range(1, 6)}
    )
    outcome = judge.judge(Sample.of(text), criterion)
    assert (outcome.score, outcome.warnings) == (4, told)
    assert outcome.version == (4 if told else 1)
    assert outcome_from(outcome.model_dump(mode="json")) == outcome
    tallies = Tallies()
    tallies.add(outcome)
    assert tallies.summary().get("warnings", {}) == dict.fromkeys(told, 1)
