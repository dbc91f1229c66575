"""A merged model answers as PEFT's own merge does: in torch, and in the embedded engine.

A random adapter of rank 4, made by PEFT, on the model that comes with Glider; skipped where torch,
PEFT or the model are not there.
"""

import math
import shutil
import warnings

import pytest

torch = pytest.importorskip("torch", reason="compares with torch")
peft = pytest.importorskip("peft", reason="compares with PEFT's own merge")
transformers = pytest.importorskip("transformers", reason="compares with torch")

from glider.backends.embedded import EmbeddedBackend  # noqa: E402
from glider.backends.fast import FastBackend  # noqa: E402
from glider.core.generation import Decoding, GenerationRequest, Labels, Message  # noqa: E402
from glider.models.adapters import Adapter, Layout  # noqa: E402
from glider.models.catalog import cache_dir, find  # noqa: E402
from glider.models.dequantise import to_hf_folder  # noqa: E402
from glider.models.requantise import requantise  # noqa: E402
from glider.release.weights import copy_adapter, merge, to_gguf  # noqa: E402

BASE = "smollm2-135m-instruct"

LABELS = tuple("12345")
TEXTS = [
    "Score the text from 1 to 5.\n\nThe cat sat on the mat.",
    "How polite is this, from 1 (rude) to 5 (polite)?\n\nGo away, please.",
    "Rate the answer from 1 to 5.\n\nQ: What is the capital of France?\nA: Paris.",
    "Rate the answer from 1 to 5.\n\nQ: What is 2 + 2?\nA: 5, I believe.",
    "From 1 to 5: is the summary faithful?\n\nArticle: It rained.\nSummary: It snowed.",
    "Score the text from 1 to 5.\n\n" + "Words without an end. " * 40,
]


@pytest.fixture(scope="module")
def base():
    """The base as the GGUF of the catalogue and as the folder it is trained from."""
    if not (cache_dir() / "models" / BASE).is_dir():
        pytest.skip("the base model is not in the cache")
    file = find(BASE)
    to_hf_folder(file.path, file.hf_folder)
    return file


@pytest.fixture(scope="module")
def merged(base, tmp_path_factory):
    """An adapter saved by PEFT, and the model that PEFT's own merge makes of it, in float32."""
    folder = tmp_path_factory.mktemp("trained") / "adapter"
    torch.manual_seed(3)
    model = transformers.AutoModelForCausalLM.from_pretrained(base.hf_folder, dtype=torch.float32)
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", lora_dropout=0.0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers by an old name
        wrapped = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, weights in wrapped.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.02)
    wrapped.save_pretrained(folder)
    return folder, wrapped.merge_and_unload().eval()


@pytest.fixture(scope="module")
def gguf_f16(base, merged, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "merged.f16.gguf"
    to_gguf(base.path, merged[0], path, "f16", lambda *_: None)
    return path


def requests():
    return [
        GenerationRequest(
            id=str(n),
            messages=(Message("user", text),),
            opening="Score: ",
            labels=Labels(texts=LABELS, after="Score: "),
            decoding=Decoding(max_tokens=1),
        )
        for n, text in enumerate(TEXTS)
    ]


def expected_scores(answers):
    scores = []
    for answer in answers:
        shares = {int(k): math.exp(v) for k, v in answer.label_logprobs.items()}
        scores.append(sum(k * p for k, p in shares.items()) / sum(shares.values()))
    return torch.tensor(scores)


def by_backend(backend):
    with backend:
        return expected_scores(backend.generate(requests()))


def by_torch(model, tokenizer):
    scores = []
    ids = [tokenizer.encode(label, add_special_tokens=False)[-1] for label in LABELS]
    for request in requests():
        messages = [{"role": m.role, "content": m.content} for m in request.messages]
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text + request.opening, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            shares = model(**prompt).logits[0, -1].softmax(-1)[ids]
        scores.append((shares / shares.sum()) @ torch.arange(1.0, 6.0))
    return torch.stack(scores)


@pytest.fixture(scope="module")
def after(base, merged):
    """The scores of PEFT's merge in torch, which every engine is compared with."""
    return by_torch(merged[1], transformers.AutoTokenizer.from_pretrained(base.hf_folder))


def test_the_merged_folder_is_peft_s_merge_rounded_once(base, merged, tmp_path):
    folder, model = merged
    merge(base.hf_folder, folder, tmp_path / "hf")
    ours = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.bfloat16)
    theirs = model.state_dict()
    assert ours.config.dtype == torch.bfloat16
    for name, weights in ours.state_dict().items():
        # Two sums of four products in another order may round to two neighbours.
        assert torch.allclose(weights.float(), theirs[name], rtol=2**-8, atol=1e-6), name
        exact = weights == theirs[name].bfloat16()
        assert exact.float().mean() > 0.999, name
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.chat_template == (base.hf_folder / "chat_template.jinja").read_text()


def test_the_gguf_has_the_same_numbers(base, merged, gguf_f16):
    import gguf

    layout, theirs = Layout.of(gguf_f16), merged[1].state_dict()
    names = set()
    for tensor in gguf.GGUFReader(gguf_f16).tensors:
        name = layout.hf_names[tensor.name]
        names.add(name)
        plain = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        found = torch.from_numpy(layout.hf_order(tensor.name, plain).copy())
        # The folder torch was trained from is bf16; the GGUF's base is not rounded to it.
        off = (found - theirs[name]).abs().max()
        assert off <= 2**-8 * theirs[name].abs().max(), name
    assert names == theirs.keys() - {"lm_head.weight"}  # tied
    assert len(Adapter.read(merged[0]).factors) == 210  # 30 layers of 7


def test_scores_move_as_in_torch(base, after, gguf_f16, tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(base.hf_folder)
    plain = transformers.AutoModelForCausalLM.from_pretrained(base.hf_folder, dtype=torch.float32)
    moved = after - by_torch(plain.eval(), tokenizer)
    assert moved.abs().mean() > 0.05  # the adapter does something
    in_engine = by_backend(EmbeddedBackend(str(gguf_f16), slots=1))
    requantise(base.path, tmp_path / "base.gguf", "f16", lambda *_: None)
    engine_base = by_backend(EmbeddedBackend(str(tmp_path / "base.gguf"), slots=1))
    torch.testing.assert_close(in_engine, after, atol=0.02, rtol=0)
    torch.testing.assert_close(in_engine - engine_base, moved, atol=0.02, rtol=0)


@pytest.mark.slow
def test_a_user_s_folder_is_a_model_of_every_local_engine(
    base, merged, after, tmp_path, monkeypatch
):
    cache = tmp_path / "cache"
    monkeypatch.setenv("GLIDER_CACHE", str(cache))
    shutil.copytree(base.path.parent, cache / "models" / BASE)
    mine = tmp_path / "mine" / "adapter"
    copy_adapter(merged[0], mine)
    engine = EmbeddedBackend(str(mine), slots=1)
    assert engine.id.startswith("embedded/mine@")
    # q8_0 rounds weights, and the engine what they are multiplied with.
    torch.testing.assert_close(by_backend(engine), after, atol=0.35, rtol=0)
    fast = FastBackend(str(mine), dtype="float32")
    assert fast.id == engine.id.replace("embedded/", "fast/")  # the same weights
    torch.testing.assert_close(by_backend(fast), after, atol=0.15, rtol=0)
