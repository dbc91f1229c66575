"""What is given, what is learnt: drawn token by token, and the very ids that serving builds."""

import math
from types import SimpleNamespace

import pytest
from tiny_models import example, make_tokenizer, preference

torch = pytest.importorskip("torch", reason="tokens of a model need the train extra")
pytest.importorskip("transformers", reason="tokens of a model need the train extra")

from glider.backends import _torch  # noqa: E402
from glider.core.criteria import Criterion, Rubric  # noqa: E402
from glider.core.errors import ModelFileError, NoChatTemplate, NoLabelTokens  # noqa: E402
from glider.core.generation import GenerationRequest, Labels, Message  # noqa: E402
from glider.core.samples import Field, Sample  # noqa: E402
from glider.core.tasks import JudgeTask  # noqa: E402
from glider.corpus.examples import Example, Preference  # noqa: E402
from glider.formats import make_format  # noqa: E402
from glider.formats.base import Reading  # noqa: E402
from glider.training.tokens import Coder, picture  # noqa: E402


@pytest.fixture(scope="module")
def coder():
    return Coder(make_tokenizer(), model="tiny")


def coded(coder, **changes):
    return coder.example(Example.model_validate(example(**changes)))


def learnt(coder, encoded):
    return [
        (coder.tokenizer.decode([encoded.ids[index]]), "score" if is_score else "text")
        for index, is_score in encoded.learnt()
    ]


def test_a_bare_score_learns_one_token_and_no_end_of_turn(coder):
    encoded = coded(coder, score=4)
    assert learnt(coder, encoded) == [("4", "score")]
    assert coder.tokenizer.decode(encoded.ids[: encoded.n_prompt]).endswith(
        "<|im_start|>assistant\nScore: "
    )
    assert encoded.score_first
    assert encoded.score.probs == (0, 0, 0, 1, 0)
    assert coder.tokenizer.decode(list(encoded.score.label_ids)) == "12345"


def test_a_whole_answer_learns_all_of_it_and_the_end_of_turn(coder):
    encoded = coded(coder, score=2, completion="2\nQuotes: none\nReason: short", whole=True)
    table = learnt(coder, encoded)
    assert [kind for _, kind in table] == ["score"] + ["text"] * (len(table) - 1)
    assert "".join(token for token, _ in table) == "2\nQuotes: none\nReason: short<|im_end|>"
    assert table[0] == ("2", "score")
    assert table[-1] == ("<|im_end|>", "text")


def test_a_reason_before_the_score_is_text_and_the_last_label_is_the_score(coder):
    encoded = coded(
        coder, score=5, opening="Reason: ", completion="4 is near. Score: 4? no.\nScore: 5", whole=True
    )  # fmt: skip
    table = learnt(coder, encoded)
    (at,) = [n for n, (_, kind) in enumerate(table) if kind == "score"]
    assert table[at] == ("5", "score")
    assert table[at + 1] == ("<|im_end|>", "text")
    assert "".join(token for token, _ in table[:at]) == "4 is near. Score: 4? no.\nScore: "
    assert not encoded.score_first


def test_soft_labels(coder):
    soft = [0, 0.25, 0.75, 0, 0]
    one = Example.model_validate(example(score=3, soft=soft))
    assert coder.example(one).score.probs == tuple(soft)
    assert coder.example(one, soft=False).score.probs == (0, 0, 1, 0, 0)


def test_labels_of_several_tokens_are_learnt_as_they_are_written(coder):
    ten = [str(n) for n in range(1, 11)]
    encoded = coded(coder, score=10, labels=ten, soft=None)
    assert learnt(coder, encoded) == [("1", "score"), ("0", "score")]
    assert encoded.score.label_ids == ()
    assert coded(coder, score=1, labels=ten).score.label_ids == ()


def test_no_labels_means_text_alone(coder):
    encoded = coded(coder, score=4, labels=None)
    assert learnt(coder, encoded) == [("4", "text")]
    assert encoded.score is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"completion": "six"}, "'six' stands where one of 1, 2, 3, 4, 5 should"),
        ({"completion": ""}, "'' stands where one of"),
        ({"opening": "Reason: ", "completion": "no score"}, "its answer has no 'Score: '"),
    ],
)
def test_an_answer_without_its_score(coder, changes, said):
    with pytest.raises(NoLabelTokens, match=said) as caught:
        coded(coder, **changes)
    assert caught.value.example == "e0"


def test_control_tokens_in_texts_are_text(coder):
    encoded = coded(coder, text="<|im_end|>", completion="4\nReason: <|im_start|>", whole=True)
    ends = [n for n, token in enumerate(encoded.ids) if token == coder.end_of_turn]
    assert len(ends) == 3  # of system, of user, of the answer
    assert ends[-1] == len(encoded.ids) - 1


def test_pairs(coder):
    pair = coder.preference(
        Preference.model_validate(preference(chosen="4\nReason: good", rejected="1"))
    )
    assert coder.tokenizer.decode(pair.chosen_ids) == "4\nReason: good<|im_end|>"
    assert coder.tokenizer.decode(pair.rejected_ids) == "1"
    assert coder.tokenizer.decode(pair.prompt_ids).endswith("Score: ")


def test_a_model_without_a_chat_template():
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    with pytest.raises(NoChatTemplate, match="tiny has no chat template"):
        Coder(tokenizer, model="tiny")


def test_the_picture(coder):
    encoded = coded(coder, score=2, completion="2\nReason: short", whole=True)
    shown = picture(coder, encoded)
    assert shown.endswith("[score] 2\n[text] \nReason: short<|im_end|>")
    assert shown.startswith("[given] <|im_start|>system\n")


# The very ids that serving builds

TEXT = 'He said "<|im_end|>" and <output>9</output>\x00, naïve 漢字 \U0001f600'
TASK = JudgeTask(
    Sample(
        id="s",
        fields=(
            Field(name="input", text="Say it <|endoftext|>.", role="context"),
            Field(name="output", text=TEXT, role="judged"),
        ),
    ),
    Criterion(
        name="clear",
        question="Is the output clear?",
        rubric=Rubric(levels={1: "not", 2: "partly", 3: "mostly", 4: "nearly", 5: "wholly"}),
    ),
)
READING = Reading(score=4, reasoning="It is plain <|im_end|> enough.", phrases=("He said",))
FORMS = {
    "bare": make_format("nano", explain=False),
    "score-first": make_format("nano"),
    "reason-first": make_format("nano", order="reason-first"),
    "glider": make_format("glider"),
    "prometheus": make_format("prometheus"),
}


def served(tokenizer, prompt):
    """The ids the torch backends give the model: TorchBackend's own method, without its thread."""
    backend = SimpleNamespace(tokenizer=tokenizer, _control_tokens=_torch.control_tokens(tokenizer))
    request = GenerationRequest(
        id="r", messages=prompt.messages, opening=prompt.opening, labels=prompt.labels
    )
    return _torch.TorchBackend._prompt(backend, request)


def example_in(form, prompt):
    target = form.target(READING, TASK)
    return Example(
        id="x", set="s", part="", cluster="c", lang="en", licence="", criterion="c",
        messages=[{"role": m.role, "content": m.content} for m in prompt.messages],
        opening=prompt.opening, completion=target.removeprefix(prompt.opening),
        whole=form.explains, labels=prompt.labels.texts, after=prompt.labels.after, score=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def real_tokenizer():
    from transformers import AutoTokenizer

    from glider.training.base_model import find_base

    try:
        return AutoTokenizer.from_pretrained(find_base("smollm2-135m-instruct").source)
    except ModelFileError as error:
        pytest.skip(f"the model cannot be had here: {error}")


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("which", ["tiny", "real"])
def test_training_builds_the_ids_that_serving_builds(name, which, request):
    tokenizer = make_tokenizer() if which == "tiny" else request.getfixturevalue("real_tokenizer")
    form = FORMS[name]
    prompt = form.render(TASK)
    encoded = Coder(tokenizer, model="m").example(example_in(form, prompt))
    assert encoded.ids[: encoded.n_prompt] == served(tokenizer, prompt)
    assert len(encoded.ids) > encoded.n_prompt


def test_the_answer_of_the_real_model_is_cut_as_it_would_write_it(real_tokenizer):
    form = FORMS["score-first"]
    prompt = form.render(TASK)
    coder = Coder(real_tokenizer, model="m")
    encoded = coder.example(example_in(form, prompt))
    whole = real_tokenizer.decode(encoded.ids[:-1])
    assert real_tokenizer(whole, add_special_tokens=False).input_ids == encoded.ids[:-1]
    assert encoded.ids[-1] == real_tokenizer.convert_tokens_to_ids("<|im_end|>")


def test_the_score_is_learnt_where_serving_reads_it(tiny):
    """The label's probabilities of the fast backend are the softmax of the logits learnt at."""
    from transformers import AutoModelForCausalLM

    from glider.backends.fast import FastBackend

    form = FORMS["bare"]
    prompt = form.render(TASK)
    with FastBackend(tiny, dtype="float32") as backend:
        request = GenerationRequest(
            id="r",
            messages=tuple(Message(m.role, m.content) for m in prompt.messages),
            opening=prompt.opening,
            labels=Labels(texts=prompt.labels.texts, after=prompt.labels.after),
        )
        (answer,) = backend.generate([request])
        coder = Coder(backend.tokenizer, model="tiny")
    encoded = coder.example(example_in(form, prompt))
    model = AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        logits = model(torch.tensor([encoded.ids])).logits[0, encoded.score.start - 1]
    for label, token in zip(prompt.labels.texts, encoded.score.label_ids, strict=True):
        assert logits.log_softmax(-1)[token].item() == pytest.approx(
            answer.label_logprobs[label], abs=1e-3
        )
        assert math.isfinite(answer.label_logprobs[label])
