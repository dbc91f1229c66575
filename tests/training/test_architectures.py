"""Every architecture whose GGUF files are known here: engines, torch and merges agree on it.

A tiny random model of each, with what is its own: Qwen2's biases, Qwen3's norms of queries and
keys, tied embeddings and a separate output. The GGUF is written here, with llama.cpp's names.
"""

import json
import warnings

import gguf
import numpy as np
import pytest
from small_models import pairs_side_by_side

torch = pytest.importorskip("torch", reason="compares with torch")
peft = pytest.importorskip("peft", reason="compares with PEFT's own merge")
transformers = pytest.importorskip("transformers", reason="compares with torch")

from tiny_models import TEMPLATE, make_tokenizer, recipe_of, toy  # noqa: E402
from tiny_models import write as write_examples  # noqa: E402

from glider.backends.embedded import EmbeddedBackend  # noqa: E402
from glider.backends.fast import FastBackend  # noqa: E402
from glider.core.errors import ModelFileError  # noqa: E402
from glider.core.generation import Decoding, GenerationRequest, Labels, Message  # noqa: E402
from glider.models.adapters import ARCHITECTURES, Adapter, add_to_gguf  # noqa: E402
from glider.models.dequantise import to_hf_folder  # noqa: E402
from glider.release import export  # noqa: E402
from glider.release.settings import ExportSettings  # noqa: E402
from glider.training.run import train  # noqa: E402

HIDDEN, INNER, HEADS, KV_HEADS, SIZE, LAYERS = 64, 96, 4, 2, 16, 2
LABELS = tuple("12345")
TEXTS = ["Judge the text: good and clear.", "bad", "clear and short " * 20, "system user 3"]
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}  # fmt: skip


def ggml_name(name):
    whole, _, part = name.rpartition(".")
    if whole in NAMES:
        return f"{NAMES[whole]}.{part}"
    _, _, layer, rest = whole.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.{part}"


def label_ids(tokenizer):
    return [tokenizer.convert_tokens_to_ids(label) for label in LABELS]


def make_model(architecture, tokenizer):
    """Random weights, biases and norms."""
    shape = dict(
        vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=INNER,
        num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
        head_dim=SIZE, max_position_embeddings=512, rms_norm_eps=1e-6,
        tie_word_embeddings=architecture == "qwen2",
        eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"), bos_token_id=None,
    )  # fmt: skip
    config = transformers.AutoConfig.for_model(architecture, **shape)
    torch.manual_seed(5)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.normal_(mean=1.0 if "norm" in name else 0.0, std=0.15)
            weights.copy_(weights.to(torch.bfloat16))
        # One direction that every text has, that no layer changes, and that makes labels likely:
        # an engine tells the likeliest tokens alone.
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = layer.mlp.down_proj.weight[0] = 0.0
        model.get_input_embeddings().weight[:, 0] = 2.0
        model.get_output_embeddings().weight[label_ids(tokenizer), 0] = 8.0
    return model


def write(path, model, architecture, tokenizer):
    config, vocabulary = model.config, json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(SIZE)
    writer.add_value_length(SIZE)
    writer.add_rope_dimension_count(SIZE)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    tokens = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    control = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in control else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in vocabulary["merges"]])
    writer.add_eos_token_id(tokenizer.convert_tokens_to_ids("<|im_end|>"))
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, weights in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        tensor = weights.numpy().astype(np.float32)
        if architecture == "llama" and ("q_proj" in name or "k_proj" in name):
            tensor = pairs_side_by_side(tensor, HEADS if "q_proj" in name else KV_HEADS)
        type_ = gguf.GGMLQuantizationType["F16" if tensor.ndim > 1 else "F32"]
        writer.add_tensor(ggml_name(name), gguf.quants.quantize(tensor, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def by_torch(model, tokenizer):
    found = []
    for text in TEXTS:
        turns = [{"role": "user", "content": text}]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        asked = tokenizer(prompt + "Score: ", add_special_tokens=False, return_tensors="pt")
        asked.pop("token_type_ids", None)
        with torch.inference_mode():
            found.append(model(**asked).logits[0, -1].log_softmax(-1)[label_ids(tokenizer)])
    return torch.stack(found)


def by_engine(engine):
    requests = [
        GenerationRequest(
            id=str(n), messages=(Message("user", text),), opening="Score: ",
            labels=Labels(texts=LABELS, after="Score: "), decoding=Decoding(max_tokens=1),
        )
        for n, text in enumerate(TEXTS)
    ]  # fmt: skip
    with engine:
        answers = engine.generate(requests)
    return torch.tensor([[a.label_logprobs[label] for label in LABELS] for a in answers])


def shares(logprobs):
    """Only the labels' shares among themselves: an engine gives no others."""
    return logprobs.softmax(-1)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_engines_torch_and_merges_agree(architecture, tmp_path):
    tokenizer = make_tokenizer()
    model = make_model(architecture, tokenizer)
    file = write(tmp_path / "tiny.gguf", model, architecture, tokenizer)
    folder = tmp_path / "hf"
    to_hf_folder(file, folder)
    again = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    assert type(again).__name__ == ARCHITECTURES[architecture]
    theirs = model.state_dict()
    for name, weights in again.state_dict().items():
        # f16 has no room for the smallest bf16 numbers.
        assert torch.allclose(weights, theirs[name], atol=1e-6, rtol=0), name
    assert again.state_dict().keys() == theirs.keys()
    expected = shares(by_torch(model, transformers.AutoTokenizer.from_pretrained(folder)))
    assert expected.std(0).max() > 0.005  # the texts are told apart
    torch.testing.assert_close(
        shares(by_engine(EmbeddedBackend(str(file), slots=1))), expected, atol=0.01, rtol=0
    )
    torch.testing.assert_close(
        shares(by_engine(FastBackend(str(folder), dtype="float32"))), expected, atol=1e-4, rtol=0
    )

    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM", lora_dropout=0.0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = peft.get_peft_model(model, config)
        with torch.no_grad():
            for name, weights in wrapped.named_parameters():
                if "lora_B" in name:
                    weights.normal_(std=0.3)
        wrapped.save_pretrained(tmp_path / "adapter")
        merged = wrapped.merge_and_unload().eval()
    after = shares(by_torch(merged, tokenizer))
    assert (after - expected).abs().max() > 0.02
    added = tmp_path / "merged.gguf"
    add_to_gguf(file, Adapter.read(tmp_path / "adapter"), added, "f16", lambda *_: None)
    torch.testing.assert_close(
        shares(by_engine(EmbeddedBackend(str(added), slots=1))), after, atol=0.01, rtol=0
    )


def test_an_architecture_that_is_not_known_is_named_before_anything_is_written(tmp_path):
    tokenizer = make_tokenizer()
    model = make_model("llama", tokenizer)
    file = write(tmp_path / "tiny.gguf", model, "starcoder2", tokenizer)
    with pytest.raises(ModelFileError, match="starcoder2|cannot be read"):
        to_hf_folder(file, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_gguf_is_trained_on_and_takes_the_adapter_back(architecture, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIDER_CACHE", str(tmp_path / "cache"))
    tokenizer = make_tokenizer()
    model = make_model(architecture, tokenizer)
    file = write(tmp_path / "tiny.gguf", model, architecture, tokenizer)
    data = tmp_path / "data"
    write_examples(data / "train.jsonl.gz", toy(48))
    write_examples(data / "dev.jsonl.gz", toy(16, start=500))
    recipe = recipe_of(
        file, lora={"rank": 4, "alpha": 8}, frozen_layers=1, epochs=2, learning_rate=1e-2
    )
    trained = train(recipe, data=data, out=tmp_path / "run")
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [line["eval"]["score_loss"] for line in map(json.loads, lines) if "eval" in line]
    assert min(losses) < losses[0] - 0.1, losses
    adapter = Adapter.read(trained.folder)
    assert adapter.factors.keys() and all(".layers.1." in name for name in adapter.factors)
    add_to_gguf(file, adapter, tmp_path / "merged.gguf", "f16", lambda *_: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        in_torch = peft.PeftModel.from_pretrained(model, str(trained.folder)).merge_and_unload()
    torch.testing.assert_close(
        shares(by_engine(EmbeddedBackend(str(tmp_path / "merged.gguf"), slots=1))),
        shares(by_torch(in_torch.eval(), tokenizer)),
        atol=0.01,
        rtol=0,
    )


def test_an_export_of_a_qwen2_adapter_is_checked_against_f16(tmp_path):
    tokenizer = make_tokenizer()
    model = make_model("qwen2", tokenizer)
    file = write(tmp_path / "tiny.gguf", model, "qwen2", tokenizer)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = peft.get_peft_model(model, config)
        with torch.no_grad():
            for name, weights in wrapped.named_parameters():
                if "lora_B" in name:
                    weights.normal_(std=0.3)
        wrapped.save_pretrained(tmp_path / "adapter")
    write_examples(tmp_path / "dev.jsonl.gz", toy(16))
    # Levels of a random model are near ties, so any share of them may change.
    asked = {"to": "gguf", "base": str(file), "check": tmp_path / "dev.jsonl.gz", "check_n": 12,
             "max_changed": 1.0}  # fmt: skip
    done = export(
        tmp_path / "adapter", tmp_path / "judge.gguf", ExportSettings(**asked, max_shift=1.0)
    )
    assert not done.refused and done.check.n == 12 and 0 < done.check.average < 0.2
    assert done.path.stat().st_size == done.size and "against f16" in done.card.read_text()
    refused = export(
        tmp_path / "adapter", tmp_path / "other.gguf", ExportSettings(**asked, max_shift=0.0)
    )
    assert refused.refused and not refused.path.exists() and not refused.card.exists()
