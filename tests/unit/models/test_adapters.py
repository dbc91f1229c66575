"""Adapters on GGUF files, against the formula written out, on a llama of two layers."""

import gguf
import numpy as np
import pytest
from small_models import (
    HEADS,
    LAYERS,
    added,
    llama,
    write_adapter,
    write_gguf,
    write_hf_folder,
    write_safetensors,
)

from glider.core.errors import ModelFileError, SetupError
from glider.models.adapters import (
    WEIGHTS,
    Adapter,
    Layout,
    add_to_gguf,
    replace_in_gguf,
    sha256,
)
from glider.models.gguf_header import read_header
from glider.models.tensor_files import open_tensors

Q = "model.layers.0.self_attn.q_proj.weight"
# Half a step of the coarsest block: f16 keeps 11 bits; q8_0 127 steps, q4_0 8 to the largest.
ROUNDING = {"f16": 2**-11, "q8_0": 0.5 / 127 * 1.05, "q4_0": 1 / 8}


def quiet(*_):
    pass


def tensors_of(folder):
    with open_tensors(folder / WEIGHTS) as file:
        return {name: file.read(name) for name in file.names}


def in_hf_order(path):
    """A GGUF's weights under Hugging Face's names."""
    layout = Layout.of(path)
    return {
        layout.hf_names[t.name]: layout.hf_order(
            t.name, gguf.quants.dequantize(t.data, t.tensor_type)
        )
        for t in gguf.GGUFReader(path).tensors
    }


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, 2.0),  # alpha 8, rank 4
        ({"lora_alpha": 3}, 0.75),
        ({"use_rslora": True}, 4.0),  # 8 / sqrt(4)
    ],
)
@pytest.mark.parametrize("kind", ["f16", "q8_0", "q4_0"])
def test_a_merged_gguf_is_the_formula_within_rounding(tmp_path, config, scale, kind):
    base = write_gguf(tmp_path / "base.gguf")
    folder = write_adapter(tmp_path / "adapter", **config)
    add_to_gguf(base, Adapter.read(folder), tmp_path / "made.gguf", kind, quiet)
    expected = added(in_hf_order(base), tensors_of(folder), scale)
    found = in_hf_order(tmp_path / "made.gguf")
    assert found.keys() == expected.keys() == llama().keys()
    for name, weights in expected.items():
        room = ROUNDING[kind] * np.abs(weights).max()
        np.testing.assert_allclose(found[name], weights, atol=room, rtol=0, err_msg=name)
    moved = np.abs(expected[Q] - in_hf_order(base)[Q]).max()
    assert moved > 5 * ROUNDING[kind]  # the adapter is far larger than what rounding loses


def test_rows_change_places_and_come_back():
    layout = Layout({}, heads=2, kv_heads=1)
    rows = np.arange(8, dtype=np.float32)[:, None]
    # Two heads of four rows, that is of two pairs: 0 with 2, 1 with 3.
    assert layout.gguf_order("blk.0.attn_q.weight", rows)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert layout.gguf_order("blk.0.attn_k.weight", rows)[:, 0].tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert layout.gguf_order("blk.0.attn_v.weight", rows) is rows
    for name in ("blk.0.attn_q.weight", "blk.0.attn_k.weight"):
        there = layout.gguf_order(name, rows)
        np.testing.assert_array_equal(layout.hf_order(name, there), rows)


def test_header_and_tokenizer_are_the_base_s(tmp_path):
    base = write_gguf(tmp_path / "base.gguf")
    adapter = Adapter.read(write_adapter(tmp_path / "adapter"))
    add_to_gguf(base, adapter, tmp_path / "made.gguf", "q8_0", quiet)
    before, after = read_header(base), read_header(tmp_path / "made.gguf")
    assert after.pop("general.file_type") == gguf.LlamaFileType.MOSTLY_Q8_0
    before.pop("general.file_type")
    assert after == before and len(after["tokenizer.ggml.tokens"]) == 32


def test_what_is_not_trained_keeps_its_bits(tmp_path):
    base = write_gguf(tmp_path / "base.gguf", kind="Q8_0")
    adapter = Adapter.read(write_adapter(tmp_path / "adapter", ["self_attn.q_proj"]))
    add_to_gguf(base, adapter, tmp_path / "made.gguf", "q8_0", quiet)
    for old, new in zip(
        *(gguf.GGUFReader(p).tensors for p in (base, tmp_path / "made.gguf")), strict=True
    ):
        assert old.name == new.name
        assert np.array_equal(old.data, new.data) == (not old.name.endswith("attn_q.weight"))


def test_rank_and_alpha_of_single_layers(tmp_path):
    folder = write_adapter(
        tmp_path / "adapter", ["self_attn.q_proj", "mlp.up_proj"],
        alpha_pattern={"layers.1.self_attn.q_proj": 16, "up_proj": 4},
    )  # fmt: skip
    scales = {name: scale for name, (_, _, scale) in Adapter.read(folder).factors.items()}
    assert scales == {
        "model.layers.0.self_attn.q_proj.weight": 2.0,
        "model.layers.1.self_attn.q_proj.weight": 4.0,
        "model.layers.0.mlp.up_proj.weight": 1.0,
        "model.layers.1.mlp.up_proj.weight": 1.0,
    }


def test_a_full_training_takes_the_place_of_every_weight(tmp_path):
    base = write_gguf(tmp_path / "base.gguf")
    trained = llama(seed=9)
    folder = write_hf_folder(
        tmp_path / "hf", trained | {"lm_head.weight": trained["model.embed_tokens.weight"]}
    )
    replace_in_gguf(base, folder, tmp_path / "made.gguf", "f16", quiet)
    found = in_hf_order(tmp_path / "made.gguf")
    assert found.keys() == trained.keys()
    for name, weights in trained.items():
        np.testing.assert_allclose(found[name], weights, atol=2**-11 * 4, rtol=0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda w: {n: x for n, x in w.items() if n != Q}, f"only one has {Q}"),
        (
            lambda w: w | {"model.layers.0.mlp.bias": np.ones(3)},
            "only one has model.layers.0.mlp.bias",
        ),
        (lambda w: w | {Q: w[Q][:, :32]}, f"{Q} is"),
    ],
)
def test_a_full_training_of_another_shape_is_refused(tmp_path, change, problem):
    base = write_gguf(tmp_path / "base.gguf")
    folder = write_hf_folder(tmp_path / "hf", change(llama()))
    with pytest.raises(ModelFileError, match=problem):
        replace_in_gguf(base, folder, tmp_path / "made.gguf", "f16", quiet)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"peft_type": "IA3"}, "IA3 adapter"),
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "biases"),
        ({"init_lora_weights": "pissa"}, "changes the base"),
        ({"trainable_token_indices": [1]}, "trained tokens"),
        ({"layer_replication": [[0, 2]]}, "replicated layers"),
    ],
)
def test_what_would_be_merged_wrongly_is_refused(tmp_path, config, problem):
    with pytest.raises(SetupError, match=problem):
        Adapter.read(write_adapter(tmp_path / "mine", **config))


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        (lambda t: t | {"base_model.model.lm_head.weight": np.ones(3)}, SetupError, "lm_head.weight is not a LoRA weight"),
        (lambda t: {n: w for n, w in t.items() if "0.self_attn.q_proj.lora_B" not in n}, ModelFileError, "lora_B.weight is missing"),
        (lambda t: {n: w * np.nan for n, w in t.items()}, ModelFileError, "not finite"),
        (lambda t: {n: w[:, :2] if "lora_B" in n else w for n, w in t.items()}, ModelFileError, "do not fit"),
        (lambda t: {}, ModelFileError, "holds no LoRA weights"),
    ],
)  # fmt: skip
def test_damaged_weights_are_named(tmp_path, change, error, problem):
    folder = write_adapter(tmp_path / "mine")
    write_safetensors(folder / WEIGHTS, change(tensors_of(folder)))
    with pytest.raises(error, match=problem):
        Adapter.read(folder)


@pytest.mark.parametrize("name", ["adapter_config.json", WEIGHTS])
def test_a_missing_file_is_named(tmp_path, name):
    folder = write_adapter(tmp_path / "mine")
    (folder / name).unlink()
    with pytest.raises(ModelFileError, match=name):
        Adapter.read(folder)
    with pytest.raises(ModelFileError, match=name):
        sha256(folder)


def test_a_config_that_is_not_json_is_named(tmp_path):
    folder = write_adapter(tmp_path / "mine")
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(ModelFileError, match="not JSON"):
        Adapter.read(folder)


def test_the_hash_is_that_of_both_files(tmp_path):
    one = write_adapter(tmp_path / "one")
    same, other = write_adapter(tmp_path / "same"), write_adapter(tmp_path / "other", lora_alpha=9)
    assert sha256(one) == sha256(same) == Adapter.read(one).sha256 != sha256(other)


def test_an_adapter_of_another_model_is_refused(tmp_path):
    base = write_gguf(tmp_path / "base.gguf")
    folder = write_adapter(tmp_path / "mine")
    tensors = tensors_of(folder)
    at = "base_model.model.model.layers.0.self_attn.q_proj.lora"
    write_safetensors(folder / WEIGHTS, tensors | {f"{at}_A.weight": np.ones((4, 8))})
    with pytest.raises(
        ModelFileError, match=r"does not fit this base.*\(64, 8\).*trained on /home/me/llama"
    ):
        add_to_gguf(base, Adapter.read(folder), tmp_path / "made.gguf", "q8_0", quiet)
    deeper = {n.replace("layers.1", f"layers.{LAYERS}"): w for n, w in tensors.items()}
    write_safetensors(folder / WEIGHTS, deeper)
    with pytest.raises(ModelFileError, match="which has no model.layers.2"):
        add_to_gguf(base, Adapter.read(folder), tmp_path / "made.gguf", "q8_0", quiet)


def test_another_architecture_is_refused(tmp_path):
    base = write_gguf(tmp_path / "base.gguf", architecture="phi3")
    with pytest.raises(ModelFileError, match="is a phi3 model"):
        Layout.of(base)
    assert Layout.of(write_gguf(tmp_path / "llama.gguf")).heads == HEADS
