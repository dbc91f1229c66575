"""Reasons by a teacher: which are kept, what is counted, and a folder that a training reads."""

import json

import pytest

from glider.backends.base import Capabilities
from glider.backends.scripted import ScriptedBackend
from glider.core.errors import EmptySplit, RunError, SetupError, Unavailable
from glider.corpus.examples import read_examples
from glider.corpus.make import make_data
from glider.corpus.settings import DataSettings
from glider.studies.teaching.run import teach_with
from glider.studies.teaching.settings import TeachingSettings

TEXTS = [
    "The lighthouse keeper polished the brass lantern before the storm arrived.",
    "Nobody wrote anything about the harbour, so the report ends in the middle.",
    "Bring butter, flour and three lemons, then bake the pastry for an hour.",
]
GOOD = "It says that the keeper polished the brass lantern before any storm."


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teach")
    rows = [
        {"id": str(n), "input": f"Question {n}?", "output": TEXTS[n % 3] + f" Number {n}.",
         "label": n % 5 + 1, "scale": [1, 5],
         "criterion": {"name": "quality", "description": "Is it good?"},
         "rubric": {1: "bad", 2: "poor", 3: "fair", 4: "good", 5: "perfect"}}
        for n in range(20)
    ]  # fmt: skip
    mine = folder / "mine.jsonl"
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    make_data(DataSettings(sets=(str(mine),), dev=0.3), folder / "examples")
    return folder / "examples"


def quoted(request):
    """The judged text's first line, as the prompt shows it."""
    return request.messages[-1].content.partition("<output>\n")[2].partition("\n")[0]


def teacher(reason=GOOD, read_as=None, quote=quoted):
    """Writes one reason, and reads it as `read_as`, or as people's score of that text."""

    def answer(request):
        score = int(quoted(request).rpartition(" ")[2].rstrip(".")) % 5 + 1
        if request.labels is None:
            assert request.opening == f"Score: {score}\n"
            return f"{request.opening}Quotes:\n- {quote(request)}\nReason: {reason}"
        assert "Score" not in request.opening.removesuffix("Score: ")
        assert reason in request.opening
        return request.opening + (read_as or str(score))

    return ScriptedBackend(answer)


def taught(examples, out, backend, **options):
    settings = TeachingSettings(**{k: options.pop(k) for k in ("limit",) if k in options})
    return teach_with(backend, examples, out, settings, **options)


def test_a_reason_that_holds_is_learnt_behind_people_s_score(examples, tmp_path):
    made = taught(examples, tmp_path / "out", teacher())
    before = {one.id: one for one in read_examples(examples / "train.jsonl.gz")}
    after = {one.id: one for one in read_examples(tmp_path / "out" / "train.jsonl.gz")}
    assert before.keys() == after.keys()
    changed = [one for one in after.values() if one != before[one.id]]
    assert len(changed) == made.figures.kept > 0
    for one in changed:
        assert one.whole and one.messages == before[one.id].messages
        assert one.completion.startswith(f"{one.score}\nQuotes:\n- ") and GOOD in one.completion
        assert "lighthouse" in one.messages[-1].content  # the others name nothing of it
    assert made.figures.dropped == {"names nothing of this text": len(after) - len(changed)}
    assert made.figures.missing == 0
    assert (tmp_path / "out" / "dev.jsonl.gz").read_bytes() == (
        examples / "dev.jsonl.gz"
    ).read_bytes()
    assert "Reasons by a teacher" in (tmp_path / "out" / "card.md").read_text()
    assert (
        json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]["format"] == "nano"
    )


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        (lambda: teacher(quote=lambda _: "a place that is not in it at all"), "quotes what is not there"),
        (lambda: teacher("Good."), "only a verdict"),
        (lambda: teacher("It is fine because everything about it is very good indeed."), "names nothing of this text"),
        (lambda: ScriptedBackend(lambda r: r.opening + "Reason: " + GOOD + "\nScore: 2"), "cannot be read (unreadable)"),
    ],
)  # fmt: skip
def test_what_is_thrown_away_is_counted_by_why(examples, tmp_path, backend, why):
    made = taught(examples, tmp_path / "out", backend())
    assert made.figures.kept == 0 and why in made.figures.dropped, made.figures.dropped


def test_a_reason_that_leads_to_another_score_is_not_learnt(examples, tmp_path):
    made = taught(examples, tmp_path / "out", teacher(read_as="1"))
    kept = [one for one in read_examples(tmp_path / "out" / "train.jsonl.gz") if one.whole]
    assert kept and all(one.score <= 2 for one in kept)
    assert made.figures.dropped["another score follows from it"] > 0


def test_what_failed_is_asked_again_and_nothing_else_is(examples, tmp_path):
    whole = teacher()
    broken = ScriptedBackend(
        lambda r: Unavailable("away") if len(broken.requests) % 3 == 0 else whole._script(r)
    )
    first = taught(examples, tmp_path / "out", broken)
    assert first.figures.missing > 0 and first.lost == {"unavailable": first.figures.missing}
    with pytest.raises(RunError):
        taught(examples, tmp_path / "out", teacher())
    again = teacher()
    second = taught(examples, tmp_path / "out", again, resume=True)
    assert second.figures.missing == 0 and len(again.requests) < second.figures.asked * 2
    at_once = taught(examples, tmp_path / "other", teacher())
    assert second.figures == at_once.figures


def test_a_teacher_goes_on_from_what_people_marked(tmp_path):
    text = "The lighthouse keeper polished the brass lantern before the storm arrived."
    rows = [
        {"id": str(n), "input": f"Question {n}?", "output": f"{text} Number {n}.", "label": n % 2,
         "scale": [0, 1], "meta": {"spans": [{"start": 4, "end": 37}]},
         "criterion": {"name": "quality", "description": "Is it good?"},
         "rubric": {0: "bad", 1: "good"}}
        for n in range(12)
    ]  # fmt: skip
    mine, recipe = tmp_path / "mine.jsonl", tmp_path / "mixture.yaml"
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe.write_text("sets: {mine.jsonl: {}}\nmarks: true\n")
    make_data(DataSettings(recipe=recipe, dev=0.3), tmp_path / "examples")
    marked = "lighthouse keeper polished the brass"

    def answer(request):
        if request.labels is not None:
            return request.opening + str(int(quoted(request).split()[-1].rstrip(".")) % 2)
        assert request.opening.endswith(f"Quotes:\n- {marked}\nReason:"), request.opening
        assert "quote" not in request.grammar.lark
        return request.opening + " " + GOOD

    made = taught(tmp_path / "examples", tmp_path / "out", ScriptedBackend(answer))
    assert made.figures.kept == made.figures.asked > 0, made.figures
    for one in read_examples(tmp_path / "out" / "train.jsonl.gz"):
        assert one.completion == f"{one.score}\nQuotes:\n- {marked}\nReason: {GOOD}"


def test_a_model_that_only_reads_scores_is_refused_as_a_teacher(examples, tmp_path):
    reader = ScriptedBackend(lambda r: r.opening)
    reader.capabilities = Capabilities(label_logprobs=True, explanations=False)
    with pytest.raises(SetupError, match="only reads scores and cannot write reasons"):
        teach_with(reader, examples, tmp_path / "out")
    assert not reader.requests and not (tmp_path / "out").exists()


def test_where_there_is_nothing_to_explain_it_is_said(examples, tmp_path):
    first = taught(examples, tmp_path / "a", teacher(), limit=5).figures
    assert first.asked == 5
    settings = json.loads((examples / "manifest.json").read_text())
    other = tmp_path / "other-format"
    other.mkdir()
    settings["settings"]["order"] = "reason-first"
    (other / "manifest.json").write_text(json.dumps(settings))
    with pytest.raises(SetupError, match="score first"):
        taught(other, tmp_path / "b", teacher())
    reason = "The lighthouse keeper, butter and harbour: the report says it of flour and lantern."
    made = taught(examples, tmp_path / "explained", teacher(reason))
    assert made.figures.kept == made.figures.asked, made.figures.dropped
    with pytest.raises(EmptySplit, match="no single output"):
        taught(tmp_path / "explained", tmp_path / "c", teacher())
