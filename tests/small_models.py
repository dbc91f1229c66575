"""A llama of two layers as GGUF and as a Hugging Face folder, and adapters for it; numpy alone."""

import json
import struct
from pathlib import Path

import gguf
import numpy as np

HEADS, KV_HEADS, SIZE, HIDDEN, INNER, WORDS, LAYERS = 4, 2, 16, 64, 96, 32, 2
MATRICES = {
    "self_attn.q_proj": (HEADS * SIZE, HIDDEN),
    "self_attn.k_proj": (KV_HEADS * SIZE, HIDDEN),
    "self_attn.v_proj": (KV_HEADS * SIZE, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HEADS * SIZE),
    "mlp.gate_proj": (INNER, HIDDEN),
    "mlp.up_proj": (INNER, HIDDEN),
    "mlp.down_proj": (HIDDEN, INNER),
}
GGUF_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def llama(seed=1):
    """Hugging Face name to weights, bf16 numbers in float32, embeddings tied."""
    rng = np.random.default_rng(seed)
    weights = {"model.embed_tokens.weight": rng.normal(size=(WORDS, HIDDEN))}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        for name, shape in MATRICES.items():
            weights[f"{at}.{name}.weight"] = rng.normal(scale=0.1, size=shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{at}.{name}.weight"] = 1 + rng.normal(scale=0.1, size=HIDDEN)
    weights["model.norm.weight"] = np.ones(HIDDEN)
    return {name: as_bf16(w.astype(np.float32)) for name, w in weights.items()}


def as_bf16(weights):
    """Cut, not rounded: whatever comes out is a bf16 number."""
    return (weights.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)


def pairs_side_by_side(weights, heads):
    """Rows as llama.cpp has them, one by one: row 2 i of a head is i, row 2 i + 1 is i + size / 2."""
    size = len(weights) // heads
    order = [h * size + i + half for h in range(heads) for i in range(size // 2)
             for half in (0, size // 2)]  # fmt: skip
    return weights[order]


def write_gguf(path, weights=None, kind="F16", architecture="llama"):
    """The llama as a GGUF with a small vocabulary."""
    weights = weights or llama()
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(128)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_token_list([f"w{n}" for n in range(WORDS)])
    writer.add_token_types([3] + [1] * (WORDS - 1))
    writer.add_chat_template("{{ messages[0]['content'] }}")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    whole = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    for name, tensor in weights.items():
        ours = whole.get(name)
        if ours is None:
            _, _, layer, rest = name.removesuffix(".weight").split(".", 3)
            ours = f"blk.{layer}.{GGUF_NAMES[rest]}.weight"
        if ours.endswith(("attn_q.weight", "attn_k.weight")):
            heads = HEADS if "attn_q" in ours else KV_HEADS
            tensor = pairs_side_by_side(tensor, heads)
        type_ = gguf.GGMLQuantizationType[kind if tensor.ndim > 1 else "F32"]
        writer.add_tensor(ours, gguf.quants.quantize(tensor, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_safetensors(path, tensors, kind="F32"):
    """The format written by hand; BF16 cuts the lower half off."""
    blobs = {
        name: w.astype("<f4").tobytes()
        if kind == "F32"
        else (w.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
        for name, w in tensors.items()
    }
    header, place = {}, 0
    for name, blob in blobs.items():
        header[name] = {
            "dtype": kind, "shape": list(tensors[name].shape),
            "data_offsets": [place, place + len(blob)],
        }  # fmt: skip
        place += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs.values()))
    return path


def write_hf_folder(folder, weights=None, shards=1):
    """The llama as a Hugging Face folder, in one or more files."""
    weights = weights or llama()
    folder.mkdir(parents=True)
    config = {"model_type": "llama", "dtype": "float32", "_name_or_path": "/home/me/llama"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")
    names = list(weights)
    files = {}
    for shard in range(shards):
        name = f"model-{shard}.safetensors" if shards > 1 else "model.safetensors"
        here = {n: weights[n] for n in names[shard::shards]}
        write_safetensors(folder / name, here, "BF16")
        files |= dict.fromkeys(here, name)
    if shards > 1:
        index = {"metadata": {"total_size": 0}, "weight_map": files}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def write_adapter(folder: Path, names=tuple(MATRICES), *, rank=4, seed=2, strength=0.2, **config):
    """A random adapter for the llama; `config` changes PEFT's settings."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    tensors = {}
    for layer in range(LAYERS):
        for name in names:
            out, into = MATRICES[name]
            at = f"base_model.model.model.layers.{layer}.{name}"
            a, b = rng.normal(size=(rank, into)), rng.normal(scale=strength, size=(out, rank))
            tensors[f"{at}.lora_A.weight"], tensors[f"{at}.lora_B.weight"] = a, b
    settings = {
        "peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "bias": "none",
        "base_model_name_or_path": "/home/me/llama", **config,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    return folder


def added(weights, tensors, scale):
    """The formula, one matrix after another: W + s B A."""
    result = dict(weights)
    for name in weights:
        at = "base_model.model." + name.removesuffix(".weight")
        if f"{at}.lora_A.weight" in tensors:
            a, b = tensors[f"{at}.lora_A.weight"], tensors[f"{at}.lora_B.weight"]
            result[name] = weights[name] + scale * (b @ a)
    return result
