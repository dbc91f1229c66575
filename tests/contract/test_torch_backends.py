"""The torch backends keep the contract, with the real model."""

import json
import math
from concurrent.futures import Future
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the torch backends need torch")
pytest.importorskip("transformers", reason="the torch backends need transformers")
pytest.importorskip("llguidance", reason="grammars in torch need llguidance")

from glider.backends import _torch  # noqa: E402
from glider.backends.fast import FastBackend  # noqa: E402
from glider.backends.transformers import TransformersBackend  # noqa: E402
from glider.core.errors import (  # noqa: E402
    BackendError,
    ModelFileError,
    PromptTooLong,
    Refused,
    SetupError,
)
from glider.core.generation import (  # noqa: E402
    Decoding,
    Generation,
    GenerationRequest,
    Grammar,
    Labels,
    Message,
)
from glider.models.catalog import DEFAULT, find  # noqa: E402
from glider.models.dequantise import to_hf_folder  # noqa: E402
from glider.testing.contract import COUNT, BackendContract, answered, ask  # noqa: E402

TEN = Labels(texts=tuple(map(str, range(11))), after="Score: ")
FIVE = Labels(texts=("1", "2", "3", "4", "5"), after="Score: ")
NO_HINT = "Judge the text: Coherence, 1 to 5.\n\nThe cat sat. The cat ran."


def scored(content, labels=FIVE, id="scored"):
    return ask(content, id=id, opening="Score: ", max_tokens=2, labels=labels)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Several threads wait by spinning: beside other jobs they are ten times slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The default model as a Hugging Face folder."""
    try:
        loaded = _torch.load(DEFAULT, revision=None, dtype="float32", device="cpu")
    except ModelFileError as error:
        pytest.skip(f"the model cannot be had here: {error}")
    return loaded.model.name_or_path


def test_loading_draws_no_bars(tmp_path, capfd):
    """Not from the file and not from the folder made of it."""
    try:
        file = find(DEFAULT)
    except ModelFileError as error:
        pytest.skip(f"the model cannot be had here: {error}")
    to_hf_folder(file.path, tmp_path / "folder")
    _torch.load(str(tmp_path / "folder"), revision=None, dtype="bfloat16", device="cpu")
    told = capfd.readouterr()
    assert told.out + told.err == ""


def test_where_there_is_no_room_is_told(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelFileError, match="cannot store the model in"):
        to_hf_folder(find(DEFAULT).path, tmp_path / "file" / "folder")


@pytest.fixture(scope="module")
def hf(folder):
    with TransformersBackend(folder, dtype="float32", batch=4) as backend:
        yield backend


@pytest.fixture(scope="module")
def fast(folder):
    with FastBackend(folder, dtype="float32") as backend:
        yield backend


class TestTransformers(BackendContract):
    @pytest.fixture
    def backend(self, folder):
        with TransformersBackend(folder, dtype="float32", batch=4) as backend:
            yield backend


class TestFast(BackendContract):
    """It writes nothing but a label, so what the suite asks for as text is asked for as a score."""

    test_max_tokens_is_respected = None
    test_a_prompt_beyond_the_context_is_an_error = None

    @pytest.fixture
    def backend(self, folder):
        with FastBackend(folder, dtype="float32") as backend:
            yield backend

    def test_one_answer_per_request_in_order(self, backend):
        requests = []
        for n in (5, 3, 8, 1, 9, 2):
            opening = f"Number {n}: "
            requests.append(
                replace(
                    ask(COUNT, id=str(n), opening=opening),
                    labels=Labels(texts=("0", "1"), after=opening),
                )
            )
        answers = backend.generate(requests)
        assert [answer.text[:10] for answer in answers] == [r.opening for r in requests]

    def test_submit_gives_a_future(self, backend):
        future = backend.submit(scored(NO_HINT))
        assert isinstance(future, Future)
        assert isinstance(future.result(60), Generation)

    def test_greedy_answers_repeat(self, backend):
        first, second = (answered(backend, scored(NO_HINT)) for _ in range(2))
        assert first.text == second.text
        assert second.usage.cached_tokens == second.usage.prompt_tokens - 1


@pytest.mark.parametrize("kind", ["hf", "fast"])
def test_a_prompt_beyond_the_context(kind, request):
    backend = request.getfixturevalue(kind)
    (error,) = backend.generate([scored("no more! " * backend.limits.context_tokens)])
    assert isinstance(error, PromptTooLong)
    assert error.limit == backend.limits.context_tokens - 2 < error.tokens


@pytest.mark.parametrize(
    "asked",
    [
        ask("Tell me a story."),
        replace(scored(NO_HINT), opening="Reason: "),
        replace(scored(NO_HINT), decoding=Decoding(temperature=0.7)),
    ],
    ids=["no labels", "labels later", "a sample"],
)
def test_the_fast_backend_refuses_what_is_not_a_score(fast, asked):
    (error,) = fast.generate([asked])
    assert isinstance(error, Refused)


passes = {}
"""Tokens to what the model says next: requests that differ in their labels alone share a pass."""


def one_by_one(backend, request):
    """Label log-probabilities by the definition: a whole forward pass for each beginning."""
    prompt = backend._prompt(request)

    def after(more):
        ids = prompt + backend.tokenizer(more, add_special_tokens=False).input_ids
        if tuple(ids) not in passes:
            with torch.inference_mode():
                logits = backend.model(torch.tensor([ids])).logits[0, -1]
            passes[tuple(ids)] = logits.float().log_softmax(-1)
        return passes[tuple(ids)]

    vocab = backend.tokenizer.get_vocab()
    first = after("")
    # The tokenizer has one token per digit; " 1" does not exist in it, "Ġ" plus digit neither.
    found = {text: first[vocab[text[0]]].item() for text in request.labels.texts if text != "10"}
    if "10" in request.labels.texts:
        zero = after("1")[vocab["0"]].item()
        found["10"] = found["1"] + zero
        found["1"] += math.log1p(-math.exp(zero))
    return found


ARTICLE = " ".join(f"Sentence {n} is about the river and the bridge number {n}." for n in range(3))
REQUESTS = [
    scored(
        f"{question}\n\n{text}\n\nJudge it.",
        labels,
        id=f"{question}/{text[-9:]}/{len(labels.texts)}",
    )
    for question in ("Is the text coherent?", "Is the text coherent and short?")
    for text in (ARTICLE, ARTICLE + " The end.", ARTICLE + " The bridge fell.", "Nothing.")
    for labels in (FIVE, TEN)
]


@pytest.fixture(scope="module")
def together(fast):
    """What the fast backend says of all of them at once."""
    return fast.generate(REQUESTS)


def test_label_logprobs_are_those_of_plain_passes(hf, fast, together):
    """Both backends': the weights are the same, so the passes of one do for the other."""
    for asked, quick in zip(REQUESTS, together, strict=True):
        assert quick.label_logprobs == pytest.approx(one_by_one(fast, asked), abs=1e-3)
    some = REQUESTS[::3]  # either set of labels, each of the texts
    for asked, answer in zip(some, hf.generate(some), strict=True):
        assert answer.label_logprobs == pytest.approx(one_by_one(fast, asked), abs=1e-3)


def test_fast_scores_depend_on_no_neighbour(fast, together, folder):
    alone = [answered(fast, request) for request in reversed(REQUESTS)][::-1]
    with FastBackend(folder, dtype="float32", prefix_cache=False) as unshared:
        apart = unshared.generate(REQUESTS)
    for one, two, three in zip(together, alone, apart, strict=True):
        assert one.text == "Score: " + max(one.label_logprobs, key=one.label_logprobs.get)
        assert one.label_logprobs == pytest.approx(two.label_logprobs, abs=1e-3)
        assert one.label_logprobs == pytest.approx(three.label_logprobs, abs=1e-3)
        assert three.usage.cached_tokens == 0


def test_bf16_scores_stay_within_a_quarter_nat(together, folder):
    """Of what is likely at all: at a probability of a thousandth a third of a nat is nothing."""
    with FastBackend(folder, dtype="bfloat16") as half:
        rounded = half.generate(REQUESTS)
    for one, two in zip(together, rounded, strict=True):
        for label in ("1", "2", "3", "4", "5"):
            exact = one.label_logprobs[label]
            near = 0.25 if exact > math.log(0.01) else 1.0
            assert two.label_logprobs[label] == pytest.approx(exact, abs=near)


def test_a_label_in_the_middle_of_the_answer(hf):
    lark = 'start: "Reason: short.\\nScore: " ("1" | "5")\n'
    request = ask("Rate this: hello", max_tokens=24, grammar=Grammar(lark=lark), labels=FIVE)
    answer = answered(hf, request)
    assert answer.text in ("Reason: short.\nScore: 1", "Reason: short.\nScore: 5")
    assert (answer.finish, answer.constrained) == ("stop", True)
    # Unconstrained: the grammar forbids 3, the probability is there all the same.
    assert math.isfinite(answer.label_logprobs["3"])
    read_at = replace(request, opening="Reason: short.\nScore: ", grammar=None)
    assert answer.label_logprobs == pytest.approx(one_by_one(hf, read_at), abs=1e-3)


def test_rows_of_a_batch_keep_their_own_settings(hf):
    def drawn(seed, temperature=1.0, top_p=1.0, content="Write a word."):
        decoding = Decoding(max_tokens=6, seed=seed, temperature=temperature, top_p=top_p)
        return GenerationRequest(
            id="x", messages=(Message("user", content),), opening="Word: ", decoding=decoding
        )

    requests = [
        drawn(1),
        drawn(1),
        drawn(2),
        drawn(3, 0.0),
        drawn(4, 1.0, 1e-6),
        ask("Hi", max_tokens=2),
    ]
    one, same, other, greedy, narrow, short = hf.generate(requests)
    assert one.text == same.text != other.text
    assert greedy.text == narrow.text  # a nucleus of one token is greedy
    assert short.usage.completion_tokens <= 2
    assert one.text == answered(hf, drawn(1)).text  # alone or in company


def test_control_tokens_in_a_message_are_text(hf):
    """SmolLM2's `<repo_name>` is special to its tokenizer, and `all_special_tokens` lacks it."""
    special = {t.content for t in hf.tokenizer.added_tokens_decoder.values() if t.special}
    assert "<repo_name>" in special - set(hf.tokenizer.all_special_tokens)
    plain, hostile = (
        hf._prompt(ask(text)) for text in ("a b", "a " + " ".join(sorted(special)) + " b")
    )
    numbers = hf.tokenizer.convert_tokens_to_ids(sorted(special))
    assert [plain.count(n) for n in numbers] == [hostile.count(n) for n in numbers]


def test_a_grammar_that_is_none_is_refused_alone(hf):
    bad, good = hf.generate([ask("x", grammar=Grammar(lark="start: nothing_here\n")), ask("x")])
    assert isinstance(bad, Refused)
    assert isinstance(good, Generation)


def test_ids_name_the_weights(hf, fast, folder):
    assert hf.id.removeprefix("hf/") == fast.id.removeprefix("fast/")
    assert hf.id.count("@") == 1


def test_what_cannot_be_loaded_says_so(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelFileError, match="cannot load"):
        TransformersBackend(tmp_path)  # a folder with no model in it
    with pytest.raises(SetupError, match="revision"):
        TransformersBackend(folder, revision="main")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(64))
    monkeypatch.setenv("GLIDER_CACHE", str(tmp_path))
    with pytest.raises(ModelFileError, match="cannot be read"):
        TransformersBackend(broken)
    assert not [path for path in tmp_path.rglob("*") if "bf16" in path.name]


def test_the_converted_folder_is_a_plain_one(folder):
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    assert config["dtype"] == "bfloat16"
    assert "quantization_config" not in config


def test_a_failure_in_the_model_reaches_every_caller(folder):
    with FastBackend(folder, dtype="float32") as backend:
        backend._reader._model = torch.nn.Linear(2, 2)  # no language model at all
        errors = [backend.submit(scored(NO_HINT)).exception(60) for _ in range(2)]
    assert all(error is not None and not isinstance(error, BackendError) for error in errors)


@pytest.mark.parametrize("kind", [TransformersBackend, FastBackend])
def test_numbers_that_are_none_are_no_score(folder, kind):
    with kind(folder) as backend:
        backend.model.get_output_embeddings().weight.data[:] = float("nan")
        (answer,) = backend.generate([scored("Good?")])
    assert isinstance(answer, BackendError)
    assert "not finite" in answer.message


def test_a_pass_that_fails_leaves_nothing_behind(folder):
    """Some layers then have its keys and values, and others do not."""
    prompts = [f"{NO_HINT} Again and again, {n}." for n in range(3)]
    with FastBackend(folder, dtype="float32") as backend:
        want = [answered(backend, scored(prompt)).label_logprobs for prompt in prompts]
        layer = backend.model.base_model.layers[5]

        def fail(*_):
            raise RuntimeError("out of luck")

        for number, prompt in enumerate(prompts):
            hook = layer.register_forward_hook(fail)
            (error,) = backend.generate([scored(f"{NO_HINT} Another, {number}.")])
            hook.remove()
            assert isinstance(error, BackendError)
            found = answered(backend, scored(prompt)).label_logprobs
            assert found == pytest.approx(want[number], abs=1e-3)
