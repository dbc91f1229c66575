"""Strategies over scripted answers: what is asked, what is made of it, and that nothing is lost."""

import json
import math
import re
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glider import Comparison, Criterion, Failure, Judge, JudgeTask, Judgment, PairTask, Sample
from glider.backends.base import Capabilities
from glider.backends.scripted import ScriptedBackend
from glider.core.errors import GliderError, PromptTooLong, SetupError, Unavailable, UnknownName
from glider.core.generation import Generation
from glider.core.judgments import outcome_from
from glider.formats.nano import NanoFormat
from glider.judging.strategies import STRATEGIES, with_strategies
from glider.judging.strategies.asking import Mean
from glider.judging.strategies.base import plain, spent_on
from glider.judging.strategies.cascade import Cascade, SureEnough
from glider.judging.strategies.jury import Jury
from glider.judging.strategies.parts import Decompose, scenarios
from glider.report.summary import passed_on

CRITERION = Criterion(
    name="help",
    question="Does the {output} help with the {input}?",
    rubric={1: "no", 2: "little", 3: "partly", 4: "mostly", 5: "yes"},
)
SAMPLE = Sample.of("Take the 9:40.", input="When is the next train?", id="s1")
PAIR = Sample.of(outputs=["Take the 9:40.", "Trains are fun."], input="Next train?", id="p1")
WRITERS = ("questions", "reference", "decompose")


def answer(score: int, reason: str = "so") -> str:
    return f"{score}\nQuotes: none\nReason: {reason}"


def text_of(request) -> str:
    return "\n".join(message.content for message in request.messages)


def is_judging(request) -> bool:
    return request.messages[0].content.startswith("You are a strict")


def judged(strategies, script, *, work=None, logprobs=None, **options):
    """One outcome, and every request that led to it."""
    backend = ScriptedBackend(script, label_logprobs=logprobs)
    options.setdefault("format", NanoFormat())
    judge = with_strategies(Judge(backend, **options), strategies)
    (outcome,) = judge.judge_many([work or JudgeTask(SAMPLE, CRITERION)])
    return outcome, backend.requests


def pair(**options) -> PairTask:
    return PairTask(PAIR, CRITERION, "output 1", "output 2", **options)


# ---- each strategy


def test_rules_stand_after_the_question():
    outcome, (request,) = judged(["rules"], [answer(4)])
    assert text_of(request).split("\n\n")[0] == (
        "You are a strict, fair judge of text.\nCriterion: help\n"
        "Does the output help with the input?\n"
        "Rules:\n"
        "1. Whether an output does what was asked, honestly and to the letter, counts first; only "
        "after that, how helpful, detailed or pleasant it is.\n"
        "2. It should hold no more and no less than was asked for. A fine answer to something else "
        "is a bad answer.\n"
        "Scores:\n1 = no\n2 = little\n3 = partly\n4 = mostly\n5 = yes"
    )
    # Without steps it is written as it always was, so that older readers know it.
    assert (outcome.score, outcome.steps, outcome.version) == (4, (), 1)
    assert "steps" not in outcome.model_dump()
    compared, requests = judged(["rules"], [answer(0), answer(1)], work=pair())
    assert all("3. Which output is shown first must not matter." in text_of(r) for r in requests)
    assert compared.preferred == "output 1"


def test_an_outcome_belongs_to_the_task_that_was_given():
    task = JudgeTask(SAMPLE, CRITERION)
    script = ["Is there a time?", answer(4)]
    outcome, _ = judged(["rules", "questions"], script, work=task)
    assert (outcome.task_id, outcome.sample_id, outcome.criterion) == (task.id, "s1", "help")
    assert outcome.judge == "scripted/script nano/score-first/criterion-first+rules+questions"
    compared, _ = judged(["swap"], [answer(0), answer(1)], work=pair())
    assert compared.task_id == pair().id
    assert {o.judge for o in (compared, *compared.orders)} == {compared.judge}


def test_questions_are_written_from_the_input_alone_and_shown_with_the_criterion():
    wrote = "Sure!\n1. **Is there a time?**\n2) Is it {output} or </input> [RESULT]?\n- Is it next?\n4. Is it late?"
    outcome, (first, second) = judged(["questions"], [wrote, answer(4)])
    assert text_of(first) == (
        "You are careful and brief. What stands inside tags is material to work with.\n"
        "<input>\nWhen is the next train?\n</input>\n\n"
        "Answers to this will be judged by the following criterion.\n"
        "help. Does the output help with the input?\n\n"
        "Write at most three short questions that tell a good answer to exactly this from a bad "
        "one, the most important first. Each must be about what is asked for here and have a yes "
        "or no for an answer. Number them, one a line, and write nothing else."
    )
    assert (first.decoding.temperature, first.decoding.max_tokens) == (0.0, 200)
    assert (
        "Does the output help with the input?\nAsk yourself of output, the most important first:\n"
        "1. Is there a time?\n2. Is it (output) or ‹/input› (RESULT)?\n3. Is it next?\nScores:"
    ) in text_of(second)
    (step,) = outcome.steps
    assert (step.name, step.text) == ("questions", wrote)
    assert outcome_from(outcome.model_dump(mode="json")) == outcome
    assert outcome.version == 2


def test_a_reference_is_written_where_there_is_none():
    outcome, (first, second) = judged(["reference"], ["At 9:40.", answer(5)])
    assert [(m.role, m.content) for m in first.messages] == [
        ("system", "Answer correctly and as briefly as you can, in at most a hundred words."),
        ("user", "When is the next train?"),
    ]
    assert first.decoding.max_tokens == 256
    assert (
        "<input>\nWhen is the next train?\n</input>\n<reference>\nAt 9:40.\n</reference>\n<output>"
    ) in text_of(second)
    assert "reference was written by a model as a help." in text_of(second)
    assert [(s.name, s.text, s.cut_off) for s in outcome.steps] == [
        ("reference", "At 9:40.", False)
    ]
    own = Sample.of("9:40", input="When?", reference="At 9:40.")
    _, requests = judged(["reference"], [answer(5)], work=JudgeTask(own, CRITERION))
    assert len(requests) == 1


def test_a_written_text_that_was_cut_off_says_so():
    cut = Generation(text="At nine for", finish="length")
    outcome, _ = judged(["reference"], [cut, answer(5)])
    assert outcome.steps[0].cut_off


def test_swap_asks_both_orders_and_refuses_a_single_text():
    compared, requests = judged(["swap"], [answer(0), answer(0)], work=pair(both_orders=False))
    assert len(requests) == 2
    assert (compared.preferred, compared.flipped) == (None, True)
    failure, requests = judged(["swap"], [])
    assert (failure.stage, failure.code, requests) == ("prepare", "task", [])
    assert "no order to swap" in failure.message


def test_pointwise_judges_each_output_alone_and_compares_outside():
    told = [{1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4}, {1: 0.7, 2: 0.1, 3: 0.1, 5: 0.1}]
    logprobs = [{str(level): math.log(p) for level, p in probs.items()} for probs in told]
    script = [
        Generation(text=f"Score: {text}", label_logprobs=known)
        for text, known in zip([answer(4, "clear"), answer(1, "off")], logprobs, strict=True)
    ]
    task = pair()
    compared, requests = judged(["pointwise"], script, work=task, logprobs={})
    assert len(requests) == 2
    shown = [text_of(request) for request in requests]
    assert all("<output>\n" in text and "output 1" not in text for text in shown)
    assert "9:40" in shown[0] and "9:40" not in shown[1] and "fun" in shown[1]
    # P(first higher) + half of P(equal): 2: .2(.7 + .05) ; 3: .3(.8 + .05) ; 4: .4(.9) ; 1: .1(.35)
    share = 0.2 * 0.75 + 0.3 * 0.85 + 0.4 * 0.9 + 0.1 * 0.35
    assert compared.p_first == pytest.approx(share)
    assert (compared.preferred, compared.flipped, compared.task_id) == ("output 1", False, task.id)
    one, other = compared.orders
    assert one.score_probs == pytest.approx({0: share, 1: 1 - share})
    assert other.score_probs == pytest.approx({0: 1 - share, 1: share})
    assert (one.score, other.score) == (0, 1)
    assert one.reasoning == "output 1: clear\noutput 2: off"
    # Names are the sample's own in both orders.
    assert other.reasoning == "output 1: off\noutput 2: clear"
    assert [(s.name, s.score) for s in compared.steps] == [
        ("output 1", pytest.approx(3.0)), ("output 2", pytest.approx(1.7)),
    ]  # fmt: skip
    assert other.usage.prompt_tokens == 0
    assert outcome_from(compared.model_dump(mode="json")) == compared


def test_pointwise_places_quotes_in_the_output_they_are_of():
    sample = Sample.of(outputs=["Take the 9:40.", "Trains are fun."], input="Next?", id="p")
    work = PairTask(sample, CRITERION, "output 2", "output 1")
    script = ["1\nQuotes:\n- are fun\nReason: off", "5\nQuotes:\n- the 9:40\nReason: so"]
    compared, _ = judged(["pointwise"], script, work=work)
    assert compared.preferred == "output 1"
    for order in compared.orders:
        assert {(h.phrase, s.field) for h in order.highlights for s in h.spans} == {
            ("are fun", "output 2"), ("the 9:40", "output 1"),
        }  # fmt: skip
        for highlight in order.highlights:
            for span in highlight.spans:
                assert sample[span.field][span.start : span.end] == highlight.phrase


def test_pointwise_ties_fails_and_leaves_single_texts_alone():
    tie, _ = judged(["pointwise"], [answer(3), answer(3)], work=pair())
    assert (tie.preferred, tie.p_first, tie.flipped) == (None, 0.5, False)
    failed, requests = judged(["pointwise"], [answer(3), "no idea"], work=pair())
    assert len(requests) == 2
    assert (failed.preferred, failed.p_first) == (None, None)
    assert all(isinstance(o, Failure) and o.message.startswith("output 2: ") for o in failed.orders)
    single, requests = judged(["pointwise"], [answer(4)])
    assert (single.score, single.steps, len(requests)) == (4, (), 1)
    one_order, _ = judged(["pointwise"], [answer(5), answer(1)], work=pair(both_orders=False))
    assert len(one_order.orders) == 1 and one_order.flipped is None


def test_mean_draws_answers_at_the_very_bottom():
    script = [f"why\nQuotes: none\nScore: {score}" for score in (1, 3, 3, 2)]
    reason_first = NanoFormat(order="reason-first")
    outcome, requests = judged(["mean", "rules"], script, format=reason_first)
    assert (outcome.expected, outcome.sampled) == (2.25, (1.0, 3.0, 3.0, 2.0))
    assert all("Rules:" in text_of(request) for request in requests)
    assert outcome.judge.endswith("+mean=4+rules")
    with pytest.raises(SetupError, match="every sample would have the same score"):
        judged(["mean"], [])
    _, requests = judged([Mean(2)], script, format=reason_first)
    assert [r.decoding.seed for r in requests] == [0, 1]


ASPECTS = "1. Accuracy: is the time right\nBrevity - no idle words\n**Tone**: is it kind\nMore: x"
WEIGHTS = "Accuracy: 60%\nBrevity: 30%\nTone: 10%"


def test_decompose_settles_aspects_and_weights_first_and_adds_up_outside():
    script = [ASPECTS, WEIGHTS, answer(5, "right"), answer(3, "long"), answer(1, "gruff")]
    outcome, requests = judged(["decompose"], script)
    aspects, weights, *parts = map(text_of, requests)
    assert "9:40" not in aspects + weights
    assert "Accuracy: is the time right\nBrevity: no idle words\nTone: is it kind" in weights
    assert [re.search(r"Criterion: (.*)", part)[1] for part in parts] == [
        "help: Accuracy",
        "help: Brevity",
        "help: Tone",
    ]
    assert "Judge one aspect alone: Brevity (no idle words). Every other" in parts[1]
    assert outcome.expected == pytest.approx(0.6 * 5 + 0.3 * 3 + 0.1 * 1)
    assert (outcome.score, outcome.normalized, outcome.score_probs) == (4, 0.75, None)
    assert outcome.reasoning == "Accuracy: right\nBrevity: long\nTone: gruff"
    assert [(s.name, s.weight, s.score) for s in outcome.steps] == [
        ("aspects", None, None),
        ("weights", None, None),
        ("Accuracy", 0.6, 5.0),
        ("Brevity", 0.3, 3.0),
        ("Tone", 0.1, 1.0),
    ]
    spent = sum(len(text_of(r)) - 1 for r in requests) // 4
    assert abs(outcome.usage.prompt_tokens - spent) <= len(requests)


def test_given_aspects_and_weights_need_no_writing():
    decompose = Decompose(["Accuracy=3", "Tone of voice=1"])
    assert not decompose.writes
    assert decompose.id == "decompose(Accuracy=3,Tone_of_voice=1)"
    outcome, requests = judged([decompose], [answer(5), answer(1)])
    assert len(requests) == 2
    assert outcome.expected == 4.0
    assert Decompose(["Accuracy", "Tone"]).writes


@pytest.mark.parametrize(
    ("aspects", "problem"),
    [
        (["Accuracy"], "two or more"),
        (["Accuracy", "accuracy"], "two or more different"),
        (["Accuracy=1", "Tone"], "every aspect a weight"),
        (["Accuracy=0", "Tone=1"], "above 0"),
        (["Accuracy=nan", "Tone=1"], "above 0"),
        (["Accuracy=much", "Tone=1"], "is no number"),
        (["=3", "Tone=1"], "NAME=WEIGHT"),
    ],
)
def test_aspects_that_cannot_be_added_up_are_refused(aspects, problem):
    with pytest.raises(SetupError, match=problem):
        Decompose(aspects)


@pytest.mark.parametrize(
    ("script", "code", "told", "n_steps"),
    [
        (["I like turtles."], "missing_part", "list of aspects", 1),
        ([ASPECTS, "60, 40"], "missing_part", "list of 3 weights", 2),
        ([ASPECTS, "A: 0%\nB: 0%\nC: 0%"], "missing_part", "list of 3 weights", 2),
        ([ASPECTS, Unavailable("gone")], "unavailable", "strategy decompose: gone", 1),
        ([ASPECTS, WEIGHTS, answer(5), "turtles", answer(1)], "missing_part", "Brevity: ", 2),
    ],
)
def test_what_fails_on_the_way_fails_the_whole_and_keeps_what_was_written(
    script, code, told, n_steps
):
    failure, _ = judged(["decompose"], script)
    assert isinstance(failure, Failure)
    assert failure.code == code
    assert told in failure.message
    assert len(failure.steps) == n_steps


def test_decomposed_pairs_are_won_by_the_larger_sum():
    def script(request):
        # Accuracy prefers the text with a time wherever it stands; tone always the first place.
        text = text_of(request)
        if "alone: Tone" in text:
            return answer(0)
        return answer(0 if text.index("Take") < text.index("Trains") else 1)

    outcome, _ = judged([Decompose(["Accuracy=3", "Tone=1"])], script, work=pair())
    assert isinstance(outcome, Comparison)
    # Accuracy gives 1, tone 0.5 over both orders.
    assert outcome.p_first == pytest.approx(0.75 * 1 + 0.25 * 0.5)
    assert (outcome.preferred, outcome.flipped) == ("output 1", False)
    assert [o.expected for o in outcome.orders] == [0.0, 0.75]
    tie, _ = judged([Decompose(["A=1", "B=1", "C=1"])], lambda _: answer(0), work=pair())
    assert (tie.p_first, tie.preferred, tie.flipped) == (0.5, None, True)


def test_a_failed_pair_is_a_comparison_so_that_resume_knows_it():
    outcome, _ = judged(["questions"], [Unavailable("gone")], work=pair())
    assert isinstance(outcome, Comparison)
    assert (outcome.p_first, outcome.first, outcome.second) == (None, "output 1", "output 2")
    assert [o.code for o in outcome.orders] == ["unavailable", "unavailable"]


def test_a_scenario_is_named_by_the_row_or_chosen_by_the_model():
    row = Sample.of("Hallo", input="Translate: Hello", metadata={"scenario": "Translation"})
    outcome, requests = judged(
        ["scenario"], [answer(5), answer(3), answer(1)], work=JudgeTask(row, CRITERION)
    )
    assert len(requests) == 3
    assert outcome.steps[0].text == "translation, named by the row"
    assert outcome.expected == pytest.approx(0.6 * 5 + 0.3 * 3 + 0.1 * 1)
    outcome, requests = judged(["scenario"], ["G", answer(5), answer(3), answer(1)])
    assert "9:40" not in text_of(requests[0])
    assert "G = Translation: a given text in another language" in text_of(requests[0])
    assert outcome.steps[1].text == "translation, as the model wrote"
    letters = {letter: math.log(0.02) for letter in "ABCDEFGHIJ"} | {"C": math.log(0.5)}
    outcome, _ = judged(["scenario"], ["A", *[answer(2)] * 3], logprobs=letters | {"2": 0.0})
    assert outcome.steps[1].text == "mathematics, by the model with probability 0.74"
    failure, _ = judged(["scenario"], ["A fine question"])
    assert (failure.stage, failure.code) == ("read", "missing_part")
    odd = Sample.of("x", metadata={"scenario": "gardening"})
    failure, _ = judged(["scenario"], [], work=JudgeTask(odd, CRITERION))
    assert "no scenario called 'gardening'" in failure.message


def test_every_scenario_has_aspects_with_weights():
    assert len(scenarios()) == 10
    for scenario in scenarios().values():
        weights = [aspect.weight for aspect in scenario.aspects]
        assert len(weights) >= 3
        assert weights == sorted(weights, reverse=True)
        assert sum(weights) == 10
        assert all(plain(aspect.name) == aspect.name for aspect in scenario.aspects)


def test_bands_are_integrated_and_carried_to_the_criterions_scale():
    logprobs = {
        str(band): math.log(p)
        for band, p in zip((10, 30, 50, 70, 90), (0, 0.1, 0.1, 0.4, 0.4), strict=True)
        if p
    }
    outcome, (request,) = judged(["banded"], [answer(70)], logprobs=logprobs)
    assert "10 = 0 to 20: it is not met at all. no\n" in text_of(request)
    assert "90 = 80 to 100: it is met fully or nearly so. yes" in text_of(request)
    s = 0.1 * 30 + 0.1 * 50 + 0.4 * 70 + 0.4 * 90  # 72
    (step,) = outcome.steps
    assert step.score == pytest.approx(s)
    assert outcome.expected == pytest.approx(1 + 4 * s / 100)
    assert (outcome.score, outcome.normalized, outcome.score_probs) == (4, 0.75, None)
    plain_answer, _ = judged(["banded"], [answer(90)])
    assert plain_answer.expected == pytest.approx(4.6)
    failed, _ = judged(["banded"], [answer(4)])
    assert failed.code == "score_outside_rubric"
    refused, _ = judged(["banded"], [], work=pair())
    assert "a preference has no bands" in refused.orders[0].message


def test_the_worst_sentence_decides_and_is_marked_where_it_stands():
    text = "Take the 9:40. It is a steam train! Bring 😀 coal, e.g. two bags. It is on time."
    task = JudgeTask(Sample.of(text, input="Next train?", id="s"), CRITERION)
    script = [answer(5), "2\nQuotes:\n- steam\nReason: no steam", answer(1, "no coal"), answer(4)]
    outcome, requests = judged(["sentences"], script, work=task)
    shown = [re.search(r"<output>\n(.*)\n</output>", text_of(r))[1] for r in requests]
    assert shown == [
        "Take the 9:40.", "It is a steam train!", "Bring 😀 coal, e.g. two bags.", "It is on time.",
    ]  # fmt: skip
    assert (outcome.score, outcome.reasoning, outcome.task_id) == (1, "no coal", task.id)
    # Below the middle of 1 to 5: the quote where there is one, else the sentence.
    assert [h.phrase for h in outcome.highlights] == ["steam", "Bring 😀 coal, e.g. two bags."]
    for highlight in outcome.highlights:
        (span,) = highlight.spans
        assert text[span.start : span.end] == highlight.phrase
    assert [(s.name, s.score) for s in outcome.steps] == [
        ("sentence 1", 5), ("sentence 2", 2), ("sentence 3", 1), ("sentence 4", 4),
    ]  # fmt: skip
    failed, _ = judged(["sentences"], [answer(5), "no idea", answer(1), answer(4)], work=task)
    assert isinstance(failed, Failure) and failed.message.startswith("sentence 2: ")


def test_sentences_of_long_single_and_paired_texts():
    one, requests = judged(["sentences"], [answer(4)])
    assert (one.score, one.highlights, one.steps, len(requests)) == (4, (), (), 1)
    long = " ".join(f"This is point {n}!" for n in range(100))
    task = JudgeTask(Sample.of(long, input="Go on."), CRITERION)
    outcome, requests = judged(["sentences"], [answer(4)] * 32, work=task)
    assert len(requests) == len(outcome.steps) == 32
    assert " ".join(step.text for step in outcome.steps) == long
    refused, requests = judged(["sentences"], [], work=pair())
    assert "held against each other" in refused.orders[0].message and not requests


# ---- jury


def jury(*scripts, names=("one", "two", "three"), strategies=(), logprobs=None):
    return Jury(
        [
            with_strategies(
                Judge(
                    ScriptedBackend(script, model=name, label_logprobs=logprobs),
                    format=NanoFormat(),
                ),
                strategies,
            )
            for script, name in zip(scripts, names, strict=False)
        ]
    )


def test_a_jury_gives_the_mean_and_how_far_its_members_lie_apart():
    judge = jury([answer(5, "a")], [answer(2, "b")], [answer(4, "c")])
    assert (
        judge.id
        == "jury(scripted/one|scripted/two|scripted/three) nano/score-first/criterion-first"
    )
    (outcome,) = judge.judge_many([(SAMPLE, CRITERION)])
    assert outcome.expected == pytest.approx(11 / 3)
    assert outcome.score == 4
    assert [(s.name.split()[0], s.score) for s in outcome.steps] == [
        ("scripted/one", 5.0), ("scripted/two", 2.0), ("scripted/three", 4.0), ("spread", 3.0),
    ]  # fmt: skip
    assert outcome.usage.completion_tokens == 3 * (len("Score: " + answer(5, "a")) // 4)


def test_a_juror_that_fails_is_left_out_and_named():
    (outcome,) = jury([answer(5)], [Unavailable("gone")], [answer(4)]).judge_many(
        [(SAMPLE, CRITERION)]
    )
    assert outcome.expected == 4.5
    assert outcome.steps[0].text == "left out: generate/unavailable: gone"
    (failure,) = jury([Unavailable("x")], [Unavailable("y")]).judge_many([(SAMPLE, CRITERION)])
    assert isinstance(failure, Failure)
    assert [step.text[:8] for step in failure.steps] == ["left out"] * 2


def test_a_jury_over_pairs_averages_probabilities():
    judge = jury([answer(0), answer(1)], [answer(0), answer(0)])
    (outcome,) = judge.judge_many([pair()])
    assert outcome.p_first == 0.75
    assert (outcome.preferred, outcome.flipped) == ("output 1", False)


def test_a_jury_is_lazy_and_keeps_order():
    taken = []

    def tasks():
        for number in range(5_000):
            taken.append(number)
            # Every third lacks the input that the criterion names: a failure, in its place.
            asked = None if number % 3 == 0 else "When?"
            yield JudgeTask(Sample.of(f"at {number}", input=asked, id=str(number)), CRITERION)

    judge = jury(lambda _: answer(5), lambda _: answer(2), strategies=["rules"])
    outcomes = list(islice(judge.judge_many(tasks()), 50))
    assert [o.sample_id for o in outcomes] == [str(n) for n in range(50)]
    assert [o.kind == "failure" for o in outcomes] == [n % 3 == 0 for n in range(50)]
    assert len(taken) < 1000


@pytest.mark.parametrize("names", [("one",), ("one", "one")])
def test_a_jury_needs_different_judges(names):
    with pytest.raises(SetupError, match="two or more different"):
        jury(*[[]] * len(names), names=names)


# ---- composing


def test_each_strategy_sees_what_the_one_before_made_of_the_task():
    def script(request):
        if is_judging(request):
            return answer(3)
        return "At 9:40." if "Answer correctly" in text_of(request) else "Is it?"

    _, requests = judged(["reference", Decompose(["A=1", "B=1"]), "questions"], script)
    kinds = ["judging" if is_judging(r) else "writing" for r in requests]
    # One reference for both aspects; questions for each.
    assert sorted(kinds) == ["judging"] * 2 + ["writing"] * 3
    for request in filter(is_judging, requests):
        assert "<reference>\nAt 9:40." in text_of(request)
        assert "1. Is it?" in text_of(request)
    _, requests = judged([Decompose(["A=1", "B=1"]), "reference"], script)
    assert len(requests) == 4


def test_steps_and_usage_come_from_all_levels():
    outcome, requests = judged(["reference", "questions"], ["At 9:40.", "Is it?", answer(3)])
    assert [s.name for s in outcome.steps] == ["reference", "questions"]
    # As ScriptedBackend counts: four characters a token.
    spent = sum(sum(len(m.content) for m in r.messages) // 4 for r in requests)
    assert outcome.usage.prompt_tokens == spent


@pytest.mark.parametrize(
    ("names", "error", "told"),
    [
        (["ruls"], UnknownName, "did you mean 'rules'"),
        (["rules", "rules"], SetupError, "given twice: rules"),
    ],
)
def test_names_that_cannot_be_used(names, error, told):
    with pytest.raises(error, match=told):
        with_strategies(Judge(ScriptedBackend([]), format=NanoFormat()), names)


@pytest.mark.parametrize("name", WRITERS)
def test_a_backend_that_cannot_write_is_refused_at_once(name):
    backend = ScriptedBackend([])
    backend.capabilities = Capabilities(explanations=False)
    judge = Judge(backend, format=NanoFormat(explain=False))
    with pytest.raises(SetupError, match="only reads scores and cannot write") as caught:
        with_strategies(judge, [name])
    assert "embedded" in caught.value.hint
    for free in ("rules", "swap", "banded", "scenario", "sentences"):
        with_strategies(judge, [free])


def test_texts_without_anything_given_fail_where_something_must_be_written():
    bare = JudgeTask(
        Sample.of("9:40"),
        Criterion(name="c", question="Is {output} short?", rubric={0: "n", 1: "y"}),
    )
    for name in ("questions", "reference"):
        failure, requests = judged([name], [], work=bare)
        assert (failure.stage, failure.code, requests) == ("prepare", "missing_field", [])


def test_a_bug_in_a_backend_stops_the_run():
    def broken(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        judged(["reference"], broken)


def test_works_are_taken_as_needed_and_outcomes_come_before_everything_is_written():
    taken = []

    def tasks():
        for number in range(10_000):
            taken.append(number)
            yield JudgeTask(Sample.of("x", input=str(number), id=str(number)), CRITERION)

    backend = ScriptedBackend(lambda r: answer(3) if is_judging(r) else "Is it?")
    backend.capabilities = Capabilities(prefix_cache=True)
    judge = with_strategies(Judge(backend, format=NanoFormat()), ["questions"])
    first = next(judge.stream(((n, t) for n, t in enumerate(tasks()))))
    assert isinstance(first[1], Judgment)
    # One round, and what is being written beside it; not the judge's window of 256.
    assert len(taken) <= 64 + 2 * backend.limits.in_flight


@pytest.mark.parametrize("ordered", [True, False])
def test_failures_are_not_held_back_for_ever(ordered):
    """An endpoint that is down: outcomes come all the same, and memory stays bounded."""
    taken = []

    def items():
        for number in range(2_000):
            taken.append(number)
            yield number, JudgeTask(Sample.of("x", input="q", id=str(number)), CRITERION)

    backend = ScriptedBackend(lambda _: Unavailable("down"))
    judge = with_strategies(Judge(backend, format=NanoFormat()), ["rules", "questions"])
    stream = judge.stream(items(), ordered=ordered)
    assert next(stream)[1].code == "unavailable"
    assert len(taken) < 300
    assert sorted(key for key, _ in stream) == list(range(1, 2_000))


class Metered(ScriptedBackend):
    """Counts what it answers."""

    completion_tokens = 0

    def submit(self, request):
        future = super().submit(request)
        if future.exception() is None:
            self.completion_tokens += future.result().usage.completion_tokens
        return future


NAMES = sorted(set(STRATEGIES.names()) - {"mean"})


@settings(max_examples=60)
@given(
    names=st.lists(st.sampled_from(NAMES), unique=True, max_size=3),
    n=st.integers(0, 90),
    bad=st.floats(0, 1),
    seed=st.integers(0, 9),
    ordered=st.booleans(),
    prefix_cache=st.booleans(),
    pairs=st.booleans(),
)
def test_no_outcome_is_lost_or_doubled_whatever_fails(
    names, n, bad, seed, ordered, prefix_cache, pairs
):
    def script(request):
        # Decided by the request alone, so that a repetition of the test repeats it.
        chance = hash((seed, text_of(request), request.decoding.seed)) % 1000 / 1000
        if chance < bad:
            return [Unavailable("gone"), PromptTooLong(9, 5), "turtles"][int(chance * 1e6) % 3]
        if request.labels and request.labels.texts[0] == "A":
            return "Kind: C"
        if is_judging(request):
            return answer(int(request.labels.texts[int(chance * 1e6) % len(request.labels.texts)]))
        return WEIGHTS if "in percent" in text_of(request) else ASPECTS + "\nIs it so?"

    def work(number):
        if pairs:
            sample = Sample.of(outputs=[f"a {number}", "b"], input=f"q {number}", id=str(number))
            return PairTask(sample, CRITERION, "output 1", "output 2")
        return JudgeTask(Sample.of(f"a {number}", input=f"q {number}", id=str(number)), CRITERION)

    backend = Metered(script)
    backend.capabilities = Capabilities(prefix_cache=prefix_cache)
    judge = with_strategies(Judge(backend, format=NanoFormat()), names)
    given_back = list(judge.stream(((k, work(k)) for k in range(n)), ordered=ordered))
    keys = [key for key, _ in given_back]
    assert keys == list(range(n)) if ordered else sorted(keys) == list(range(n))
    for key, outcome in given_back:
        assert (outcome.sample_id, outcome.task_id) == (str(key), work(key).id)
        assert outcome.judge == judge.id
        assert isinstance(outcome, Comparison) is pairs
        assert outcome_from(outcome.model_dump(mode="json")) == outcome
    # What failed was paid for as well, and nothing is counted twice.
    spent = spent_on(outcome for _, outcome in given_back)
    assert spent.completion_tokens == backend.completion_tokens


# ---- cascade


def cascade(first, second, *, probs=None, until="0.8"):
    """Two scripted judges; `probs` are the first one's level probabilities."""
    levels = (0, 1) if probs is not None and len(probs) == 2 else range(1, 6)
    told = probs and {str(n): math.log(p) for n, p in zip(levels, probs, strict=True)}
    judges = [
        Judge(ScriptedBackend(first, model="cheap", label_logprobs=told), format=NanoFormat()),
        Judge(ScriptedBackend(second, model="dear"), format=NanoFormat()),
    ]
    return Cascade(*judges, SureEnough.of(until))


def calibration(tmp_path, **about):
    """What a file of `glider calibrate` says of its threshold, other keys among it."""
    path = tmp_path / "calibration.json"
    data = {
        "version": 1, "judge": "scripted/cheap nano/score-first/criterion-first",
        "criterion": "help", "kind": "graded", "levels": [1, 2, 3, 4, 5], "scale": [1.0, 5.0],
        "pass_at": None, "agree_on": "near", "threshold": 0.9, "counts": {"asked": 9},
    }  # fmt: skip
    path.write_text(json.dumps(data | about))
    return str(path)


SURE, UNSURE = (0.02, 0.02, 0.02, 0.04, 0.9), (0.1, 0.1, 0.1, 0.3, 0.4)


@pytest.mark.parametrize(
    ("first", "probs", "score", "told"),
    [
        ([answer(5)], SURE, 5, "answered"),
        ([answer(5)], UNSURE, 2, "5 (confidence 0.400, least 0.800)"),
        ([answer(5)], None, 2, "5 (no probabilities)"),
        ([Unavailable("gone")], None, 2, "not judged, generate/unavailable: gone"),
    ],
)
def test_a_cascade_asks_the_second_judge_only_where_the_first_is_not_sure(
    first, probs, score, told
):
    judge = cascade(first, [answer(2)], probs=probs)
    formats = "nano/score-first/criterion-first"
    assert judge.id == f"cascade(scripted/cheap|scripted/dear|0.8) {formats}"
    (outcome,) = judge.judge_many([(SAMPLE, CRITERION)])
    assert outcome.score == score and outcome.judge == judge.id
    (step,) = outcome.steps
    assert told in step.name + step.text and "scripted/cheap" in step.text
    asked = [len(j.backend.requests) for j in (judge.first, judge.second)]
    assert asked == ([1, 0] if told == "answered" else [1, 1])
    assert passed_on(outcome) == (told != "answered")
    assert outcome_from(outcome.model_dump(mode="json")) == outcome
    if probs is not None:
        answers = 1 if told == "answered" else 2
        assert outcome.usage.completion_tokens == answers * (len("Score: " + answer(5)) // 4)


def test_a_cascade_over_pairs_is_as_sure_as_both_orders_are():
    split = cascade([answer(0), answer(0)], [answer(0), answer(1)], probs=(0.95, 0.05))
    (outcome,) = split.judge_many([pair()])
    assert passed_on(outcome) and outcome.preferred == "output 1"
    assert outcome.steps[0].score == pytest.approx(0.5)  # the first judge took the first place


def test_what_neither_judges_is_a_failure_that_says_what_the_first_said():
    (outcome,) = cascade([answer(5)], [Unavailable("gone")]).judge_many([(SAMPLE, CRITERION)])
    assert isinstance(outcome, Failure) and outcome.code == "unavailable"
    assert outcome.steps[0].score == 5


def test_a_calibrations_threshold_is_about_what_it_was_certified_for(tmp_path):
    near = calibration(tmp_path)
    # The likeliest level has 0.5 alone, but 0.95 lie within one level of it.
    probs = (0.01, 0.01, 0.03, 0.45, 0.5)
    (outcome,) = cascade([answer(5)], [answer(2)], probs=probs, until=near).judge_many(
        [(SAMPLE, CRITERION)]
    )
    assert outcome.score == 5 and "confidence 0.950, least 0.900" in outcome.steps[0].text
    other = calibration(tmp_path, criterion="other")
    (outcome,) = cascade([answer(5)], [answer(2)], probs=SURE, until=other).judge_many(
        [(SAMPLE, CRITERION)]
    )
    assert passed_on(outcome)


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"judge": "other nano"}, "is of the judge 'other nano'"),
        ({"threshold": None}, "has no threshold"),
        ({"agree_on": 3}, "is no calibration"),
    ],
)
def test_a_calibration_that_promises_nothing_of_the_first_judge_is_refused(tmp_path, about, told):
    with pytest.raises(GliderError, match=told):
        cascade([], [], until=calibration(tmp_path, **about))


@pytest.mark.parametrize("until", ["0", "1.5", "nan", "none.json"])
def test_what_is_no_measure_of_being_sure_is_refused(until):
    with pytest.raises(GliderError):
        cascade([], [], until=until)
