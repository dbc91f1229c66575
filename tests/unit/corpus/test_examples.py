"""Items become what is served: the same prompt, an answer that reads back, a label that fits."""

import gzip
import json
from dataclasses import replace

import pytest
from unit.corpus.cases import CRITERION, item, labelled, pair

from glider.core.errors import DataError, LabelOutsideScale, RunError, UnknownSchemaVersion
from glider.corpus.examples import Example, read_examples, write_lines
from glider.corpus.from_items import Unusable, example_of, level_of, phrases_of, spread, task_of
from glider.formats import FORMATS, make_format
from glider.judging.pairs import PairTask

SET = labelled()
NANO = make_format("nano")
REASON = "It leaves out where the water comes from."


@pytest.mark.parametrize(
    ("value", "scale", "levels", "shares"),
    [
        (3, (1, 5), (1, 2, 3, 4, 5), [0, 0, 1, 0, 0]),
        (1, (0, 1), (0, 1, 2, 3, 4), [0, 0, 0, 0, 1]),
        (0.875, (0, 1), (0, 1, 2, 3, 4), [0, 0, 0, 0.5, 0.5]),
        (70, (0, 100), (0, 1, 2, 3, 4, 5), [0, 0, 0, 0.5, 0.5, 0]),
        (2, (1, 5), (0, 1), [0.75, 0.25]),
        (5, (1, 5), (0, 2, 10), [0, 0, 1]),
        (3.4, (1, 5), (0, 2, 10), [0, 0.5, 0.5]),  # 6 lies halfway between 2 and 10
        (0, (0, 200), (0, 1), [1, 0]),
    ],
)
def test_spread(value, scale, levels, shares):
    found = spread(value, scale, levels)
    assert found == pytest.approx(shares) and sum(found) == pytest.approx(1)
    # The law: the mean of the distribution is the label, carried over linearly.
    mean = sum(share * level for share, level in zip(found, levels, strict=True))
    place = (value - scale[0]) / (scale[1] - scale[0])
    assert mean == pytest.approx(levels[0] + place * (levels[-1] - levels[0]))


@pytest.mark.parametrize("value", [0.5, 5.5])
def test_a_label_outside_its_scale_is_an_error(value):
    with pytest.raises(LabelOutsideScale, match="not on its scale, 1 to 5"):
        spread(value, (1.0, 5.0), (1, 2, 3, 4, 5))


@pytest.mark.parametrize(
    ("gold", "ratings", "settled", "shares"),
    [
        (4, (), 3, [0, 0, 0, 1, 0]),
        (3.5, (), 2, [0, 0, 0.5, 0.5, 0]),  # halfway is the lower
        (4, (3, 4, 5), 3, [0, 0, 1 / 3, 1 / 3, 1 / 3]),
        (4, (4, 5, 5), 3, [0, 0, 0, 1 / 3, 2 / 3]),  # most say 5: next to the settled 4
        (3, (1, 5, 5), 2, [0, 0, 1, 0, 0]),  # most say 5, which is not what was settled
        (4, (4,), 3, [0, 0, 0, 1, 0]),  # one rating is no distribution
    ],
)
def test_level(gold, ratings, settled, shares):
    found, soft = level_of(item(gold, ratings=ratings))
    assert found == settled and soft == pytest.approx(shares)


def test_of_three_levels_the_most_common_rating_must_be_the_settled_one():
    unsure = item(0.5, scale=(0.0, 1.0), levels={0: "no", 1: "unsure", 2: "yes"}, ratings=(0, 1, 1))
    assert level_of(unsure) == (1, [0, 1, 0])


@pytest.mark.parametrize("name", ["nano", "glider", "prometheus", "flow-judge", "chat-json"])
def test_prompt_and_answer_are_those_of_the_format_that_serves(name):
    one = item(2, reason=REASON)
    form = make_format(name)
    made = example_of(one, form, SET)
    prompt = form.render(task_of(one))
    assert [(t.role, t.content) for t in made.messages] == [
        (m.role, m.content) for m in prompt.messages
    ]
    assert made.opening == prompt.opening and made.whole
    reading = form.read(made.opening + made.completion, task_of(one))
    assert (reading.score, reading.reasoning) == (2, REASON)
    if made.labels:
        assert made.after + made.labels[1] in made.opening + made.completion
    assert set(FORMATS.names()) >= {name}


def test_a_bare_score_has_the_same_prompt_and_stays_open():
    bare = example_of(item(2), NANO, SET)
    full = example_of(item(2, reason=REASON), NANO, SET)
    assert bare.messages == full.messages and bare.opening == full.opening
    assert (bare.completion, bare.whole) == ("2", False)
    assert full.completion.startswith("2\nQuotes:\n- Rain is water")


@pytest.mark.parametrize("name", ["glider", "flow-judge"])
def test_a_form_without_a_bare_score_needs_a_reason(name):
    with pytest.raises(Unusable, match="no reason, which the form"):
        example_of(item(2), make_format(name), SET)
    with pytest.raises(Unusable, match="its reason only a verdict"):
        example_of(item(5, reason="Correct!"), make_format(name), SET)


def test_reason_first_writes_the_score_last():
    made = example_of(item(2, reason=REASON), make_format("nano", order="reason-first"), SET)
    assert made.opening == "Reason: " and made.completion.endswith("\nScore: 2")
    with pytest.raises(Unusable):
        example_of(item(2), make_format("nano", order="reason-first"), SET)


def test_a_pair_is_shown_as_it_is_judged_and_mirrored_in_the_other_order():
    one = pair(0, reason='Response 1 says "Hello there!" and response 2 is rude.')
    served = PairTask(one.sample, CRITERION, "output 1", "output 2").tasks
    first, second = (example_of(one, NANO, SET, swapped=s) for s in (False, True))
    for made, task in zip((first, second), served, strict=True):
        assert made.messages[1].content == NANO.render(task).messages[1].content
    assert (first.score, second.score) == (0, 1) and first.id != second.id
    said = 'Quotes:\n- Hello there!\nReason: Output {} says "Hello there!" and output {} is rude.'
    assert said.format(1, 2) in first.completion and said.format(2, 1) in second.completion


def test_a_reason_without_a_quote_is_not_learnt_where_an_answer_always_quotes():
    story = "Rain is water that falls. " * 9  # too long a line to be quoted as it is
    mute = item(2, reason=REASON, output=story)
    assert example_of(mute, NANO, SET).completion == "2"
    with pytest.raises(Unusable, match="nothing that could be quoted"):
        example_of(mute, make_format("nano", order="reason-first"), SET)
    said = item(2, reason='"Rain is water that falls" leaves out the cause.', output="No. " + story)
    assert example_of(said, NANO, SET).completion == "2"  # said nine times: where is it?


def test_a_tie_is_half_and_half_or_nothing():
    both = [example_of(pair(0.5, reason="Response 1 fails."), NANO, SET, swapped=s)
            for s in (False, True)]  # fmt: skip
    assert [made.soft for made in both] == [(0.5, 0.5), (0.5, 0.5)]
    assert [made.completion for made in both] == ["0", "1"]  # no side is favoured, none explained
    with pytest.raises(Unusable, match="without a winner"):
        example_of(pair(0.5), NANO, SET, soft=False)


def test_ratings_of_a_pair_turn_with_it():
    one = pair(1, ratings=(1, 1, 0.5, 1))
    assert example_of(one, NANO, SET).soft == (0.125, 0.875)
    assert example_of(one, NANO, SET, swapped=True).soft == (0.875, 0.125)


OUTPUT = "The tower was built in 1889 by Eiffel. It is in Rome, Italy, near the old river bank."


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        ({"spans": [(46, 50)]}, ("in Rome, Italy, near",)),  # widened to what can be quoted
        ({"spans": [(45, 49), (46, 50)]}, ("in Rome, Italy, near",)),  # one place
        ({"spans": [(0, 9), (46, 50), (60, 70)]}, ("The tower was built in", "in Rome, Italy, near")),
        ({"reason": 'It says "in Rome, Italy" but it is not.'}, ("in Rome, Italy, near",)),
        ({"reason": "It is not there at all."}, (OUTPUT,)),  # one short line can only be itself
        ({"reason": "It is not there.", "output": OUTPUT + " " + OUTPUT}, ()),
    ],
)  # fmt: skip
def test_phrases(options, phrases):
    one = item(2, **{"output": OUTPUT, **options})
    assert phrases_of(one, task_of(one), NANO) == phrases
    assert all(phrase in one.sample["output"] for phrase in phrases)


def test_marked_places_alone_leave_the_answer_open():
    one = item(2, output=OUTPUT, spans=[(46, 50)])
    made = example_of(one, NANO, SET, marks=True)
    assert made.completion == "2\nQuotes:\n- in Rome, Italy, near\nReason:" and not made.whole
    assert example_of(one, NANO, SET).completion == "2"


@pytest.mark.parametrize("name", ["nano", "glider", "prometheus", "flow-judge", "chat-json"])
def test_without_highlights_nothing_but_the_quotes_is_gone(name):
    form, one = make_format(name), item(2, reason=REASON)
    full, without = (example_of(one, form, SET, highlights=h) for h in (True, False))
    task = task_of(one)
    readings = [form.read(made.opening + made.completion, task) for made in (full, without)]
    assert readings[1] == replace(readings[0], phrases=())
    assert without == full.model_copy(update={"completion": without.completion})
    if form.bare() is not None:
        mute = item(2, reason=REASON, output="Rain is water that falls. " * 9)
        assert example_of(mute, form, SET, highlights=False) == example_of(mute, form, SET)
        marked = item(2, output=OUTPUT, spans=[(46, 50)])
        assert (
            example_of(marked, form, SET, marks=True, highlights=False).completion.count("Rome")
            == 0
        )


def test_a_reason_about_a_hidden_text_is_not_used():
    hiding = labelled(hidden=("reference",))
    assert example_of(item(2, reason=REASON), NANO, hiding).completion == "2"


def test_examples_survive_their_file_and_give_the_same_bytes(tmp_path):
    made = [example_of(item(g, id=f"ü{g}"), NANO, SET) for g in (1, 2.5)]
    first, second = tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl.gz"
    assert write_lines(first, made) == write_lines(second, made) == 2
    assert list(read_examples(first)) == made
    assert first.read_bytes() == second.read_bytes()


def test_files_that_cannot_be_read_are_named(tmp_path):
    path = tmp_path / "x.jsonl.gz"
    with pytest.raises(DataError, match="cannot be read"):
        list(read_examples(path))
    good = example_of(item(2), NANO, SET).model_dump(mode="json")
    for line, error, words in (
        ({**good, "version": 2}, UnknownSchemaVersion, "example version 2"),
        ({**good, "soft": [0.5, 0.2]}, DataError, ":1: no example"),
        ("{", DataError, ":1: not JSON"),
    ):
        with gzip.open(path, "wt") as file:
            file.write(line if isinstance(line, str) else json.dumps(line))
        with pytest.raises(error, match=words):
            list(read_examples(path))
    path.write_bytes(gzip.compress(b"{}")[:-9])
    with pytest.raises(DataError, match=":1: is cut off"):
        list(read_examples(path))
    path.write_bytes(gzip.compress(b"{}")[:10] + b"\xff" * 10)
    with pytest.raises(DataError, match=":1: is damaged"):
        list(read_examples(path))


def test_what_fails_half_way_leaves_nothing(tmp_path):
    def broken():
        yield example_of(item(2), NANO, SET)
        raise OSError(28, "No space left on device")

    path = tmp_path / "x.jsonl.gz"
    path.write_text("older")
    with pytest.raises(RunError, match="No space left"):
        write_lines(path, broken())
    assert path.read_text() == "older" and [f.name for f in tmp_path.iterdir()] == [path.name]


def test_soft_is_a_distribution_over_labels():
    made = example_of(item(2.5), NANO, SET)
    assert made.soft == (0, 0.5, 0.5, 0, 0)
    with pytest.raises(ValueError, match="distribution over `labels`"):
        Example(**{**made.model_dump(), "labels": ("1", "2")})
