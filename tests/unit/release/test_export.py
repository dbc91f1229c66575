"""Exporting without torch: adapters, Hugging Face folders, what a check asks, and the card."""

import json
import resource
import signal
from pathlib import Path

import gguf
import numpy as np
import pytest
from small_models import added, llama, write_adapter, write_gguf, write_hf_folder

import glider
from glider.core.errors import EmptySplit, ModelFileError, NoChatTemplate, RunError
from glider.corpus.data_card import DataRecord
from glider.corpus.examples import Example, Turn, write_lines
from glider.models.adapters import WEIGHTS, Adapter, open_weights, sha256
from glider.models.tensor_files import open_tensors
from glider.release.check import score_requests
from glider.release.model_card import CardFacts, CardFigure, hours, model_card
from glider.release.weights import copy_adapter, merge, to_gguf
from glider.stats.estimates import Estimate, Undefined
from glider.training.folder import TrainingManifest


def weights_of(folder):
    with open_weights(folder) as files:
        return {name: file.read(name) for name, file in files.items()}


@pytest.mark.parametrize("shards", [1, 3])
def test_a_merged_folder_is_the_formula_rounded_once(tmp_path, shards):
    base = write_hf_folder(tmp_path / "base", shards=shards)
    (base / "pytorch_model.bin").write_bytes(b"old")
    adapter = write_adapter(tmp_path / "adapter")
    merge(base, adapter, tmp_path / "out", card="# Card\n")
    with open_tensors(adapter / WEIGHTS) as file:
        expected = added(llama(), {name: file.read(name) for name in file.names}, 2.0)
    found = weights_of(tmp_path / "out")
    assert found.keys() == expected.keys()
    for name, weights in expected.items():
        # Half a step of bf16, which has 7 bits after the first.
        np.testing.assert_allclose(found[name], weights, rtol=2**-8 * 1.01, atol=1e-30)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"tokenizer.json", "chat_template.jinja", "README.md"} <= names
    assert "pytorch_model.bin" not in names
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config == {"model_type": "llama", "dtype": "bfloat16"}  # no place on a machine
    if shards > 1:
        index = json.loads((tmp_path / "out/model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == sum(2 * w.size for w in expected.values())
        for name, file in index["weight_map"].items():
            with open_tensors(tmp_path / "out" / file) as shard:
                assert name in shard.names


def test_all_weights_of_a_full_training(tmp_path):
    merge(write_hf_folder(tmp_path / "base"), None, tmp_path / "out")
    for name, weights in weights_of(tmp_path / "out").items():
        np.testing.assert_array_equal(weights, llama()[name])
    assert not (tmp_path / "out/README.md").exists()


def test_what_cannot_be_merged_is_named(tmp_path):
    base, adapter = write_hf_folder(tmp_path / "base"), write_adapter(tmp_path / "adapter")
    deeper = write_adapter(tmp_path / "deeper", lora_alpha=1)
    with pytest.raises(ModelFileError, match="has no model.layers.1"):
        shallow = {n: w for n, w in llama().items() if "layers.1" not in n}
        merge(write_hf_folder(tmp_path / "shallow", shallow), deeper, tmp_path / "out")
    (base / "config.json").write_text('{"quantization_config": {}}')
    with pytest.raises(ModelFileError, match="is quantised"):
        merge(base, adapter, tmp_path / "out")
    (base / "config.json").write_text("{}")
    (base / "chat_template.jinja").unlink()
    with pytest.raises(NoChatTemplate):
        merge(base, adapter, tmp_path / "out")
    (base / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    merge(base, adapter, tmp_path / "out")
    with pytest.raises(RunError, match="exists"):
        merge(base, adapter, tmp_path / "out")


def full_disk(do):
    """Run with files that may not grow past 10 kB: writing fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(RunError, match="no partial file was left"):
            do()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_nothing(tmp_path):
    base, adapter = write_hf_folder(tmp_path / "base"), write_adapter(tmp_path / "adapter")
    gguf_base = write_gguf(tmp_path / "base.gguf")
    out = tmp_path / "out"
    out.mkdir()
    full_disk(lambda: merge(base, adapter, out / "hf"))
    full_disk(lambda: copy_adapter(adapter, out / "adapter"))
    full_disk(lambda: to_gguf(gguf_base, adapter, out / "x.gguf", "q8_0", lambda *_: None))
    assert list(out.iterdir()) == []


def test_a_gguf_takes_its_name_when_it_is_whole(tmp_path):
    base, adapter = write_gguf(tmp_path / "base.gguf"), write_adapter(tmp_path / "adapter")
    out = tmp_path / "made.gguf"
    to_gguf(base, adapter, out, "q4_0", lambda *_: None)
    types = {t.tensor_type.name for t in gguf.GGUFReader(out).tensors}
    assert types == {"Q4_0", "F32"}
    to_gguf(base, write_hf_folder(tmp_path / "hf"), out, "f16", lambda *_: None)
    assert {t.tensor_type.name for t in gguf.GGUFReader(out).tensors} == {"F16", "F32"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "base.gguf", "hf", "made.gguf"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("/home/me/cache/smollm2-135m-instruct.0123456789ab.bf16", "smollm2-135m-instruct"),
        ("/home/me/llama", "llama"),
        ("org/name", "org/name"),
        ("", ""),
    ],
)
def test_a_copied_adapter_names_its_base_and_no_place(tmp_path, said, kept):
    adapter = write_adapter(tmp_path / "adapter", base_model_name_or_path=said)
    (adapter / "optimizer.pt").write_bytes(b"x")
    copy_adapter(adapter, tmp_path / "out", card="# Card\n")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors",
    ]  # fmt: skip
    again = Adapter.read(tmp_path / "out")
    assert again.trained_on == kept
    for name, (a, b, scale) in Adapter.read(adapter).factors.items():
        for half, number in zip(again.factors[name][:2], (a, b), strict=True):
            np.testing.assert_allclose(half, number, rtol=2**-8)  # bf16: eight bits
        assert again.factors[name][2] == scale


def test_the_same_adapter_is_copied_to_the_same_bytes(tmp_path):
    """PEFT writes the names of the trained layers as a set, each time in another order."""
    orders = (["q_proj", "v_proj", "k_proj"], ["k_proj", "q_proj", "v_proj"])
    for name, order in zip("ab", orders, strict=True):
        copy_adapter(
            write_adapter(tmp_path / f"from-{name}", target_modules=order), tmp_path / name
        )
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


def test_a_card_may_speak_of_the_very_files_beside_it(tmp_path):
    adapter = write_adapter(tmp_path / "adapter")
    copy_adapter(adapter, tmp_path / "out", card=sha256)
    told = (tmp_path / "out/README.md").read_text("utf-8")
    assert told == sha256(tmp_path / "out") != sha256(adapter)  # its base has another name there


def test_the_shipped_card_names_the_shipped_weights():
    folder = Path(glider.__file__).parent / "nano"
    assert f"Adapter: SHA-256 {sha256(folder)}." in (folder / "README.md").read_text("utf-8")


# What a check asks


def example(n, **change):
    fields = {
        "id": str(n), "set": "s", "part": "p", "cluster": f"c{n}", "lang": "en", "licence": "MIT",
        "criterion": "x", "messages": (Turn(role="user", content=f"text {n}"),),
        "opening": "Score: ", "labels": ("1", "2", "10"), "after": "Score: ", "score": 2,
        "completion": "2", "whole": False,
    }  # fmt: skip
    return Example(**{**fields, **change})


def test_the_place_of_the_score_is_the_end_of_what_is_given(tmp_path):
    path = tmp_path / "dev.jsonl.gz"
    reason = {"opening": "Reason: ", "completion": "It says Score: twice.\nScore: 2", "whole": True}
    write_lines(path, [example(1), example(2, **reason), example(3, labels=None),
                       example(4, labels=("A", "B")), example(5, opening="Reason: ")])  # fmt: skip
    asked = {request.id: request for request, _ in score_requests(path, 10, seed=0)}
    assert {n: r.opening for n, r in asked.items()} == {
        "1": "Score: ",
        "2": "Reason: It says Score: twice.\nScore: ",
    }
    assert asked["1"].messages[0].content == "text 1"
    assert asked["1"].labels.texts == ("1", "2", "10") and asked["1"].decoding.max_tokens == 2


def test_a_check_draws_from_as_many_clusters_as_there_are(tmp_path):
    path = tmp_path / "dev.jsonl.gz"
    write_lines(path, [example(n, cluster=f"c{n % 5}") for n in range(40)])
    drawn = score_requests(path, 7, seed=1)
    assert len({cluster for _, cluster in drawn[:5]}) == 5 and len(drawn) == 7
    assert drawn == score_requests(path, 7, seed=1) != score_requests(path, 7, seed=2)
    assert len({request.id for request, _ in score_requests(path, 99, seed=1)}) == 40
    write_lines(path, [example(1, labels=None)])
    with pytest.raises(EmptySplit, match="no example with a score"):
        score_requests(path, 7, seed=1)


# The card


MANIFEST = TrainingManifest(
    run_id="1", created_at="2026-11-22", glider="0.1", code_sha256="abc",
    recipe={
        "name": "nano", "base": "smollm2-135m-instruct", "seed": 7, "max_tokens": 2048,
        "lora": {"rank": 32, "alpha": 64}, "stages": [{"kind": "sft", "learning_rate": 1e-3, "train": "t"}],
    },
    base={"name": "smollm2-135m-instruct", "revision": "0123456789ab"}, start="5ba1d",
    data={"train.jsonl.gz": {"sha256": "f00d", "examples": 12, "too_long": 1}}, processes=1,
    python="3.12", libraries={"torch": "2.13"},
)  # fmt: skip


def split(n):
    return {
        "examples": n, "explained": n // 2, "quoted": 0, "soft": 1, "pairs": 0,
        "by_set": {"feedback": n}, "by_part": {}, "by_label": {}, "by_language": {"en": n},
        "by_licence": {"CC BY 4.0": n}, "criteria": 1, "prompt_characters": (1, 2, 3),
    }  # fmt: skip


DATA = DataRecord.model_validate(
    {
        "settings": {}, "files": {}, "train": split(12), "dev": split(3), "loaded": {},
        "left_out": {}, "bare": {}, "changed": {}, "overlaps": (), "notes": {},
        "titles": {"feedback": "Short | answers; labels by teachers; CC BY 4.0"},
    }
)  # fmt: skip


def test_a_card_says_what_is_known():
    card = model_card(
        CardFacts(
            name="nano", base="smollm2-135m-instruct", base_licence="Apache-2.0", kind="adapter",
            manifest=MANIFEST, kept={"step": 40, "metrics": {"pearson": 0.512}}, hours=1.25,
            data=DATA, sha256="beef",
            measured=[
                CardFigure("summeval", "nano", "pearson", Estimate(0.4, 0.3, 0.5, 100, 0, "BCa")),
                CardFigure("qags", "nano", "accuracy", Undefined("one class", 7, 0)),
            ],
        )
    )  # fmt: skip
    for line in (
        "| summeval | nano | pearson | 0.400 [0.300, 0.500] | 100 |",
        "| qags | nano | accuracy | none: one class | 7 |",
        "| feedback | 12 | Short \\| answers; labels by teachers; CC BY 4.0 |",
        "- Data, 12 examples: CC BY 4.0.",
        "- Base, smollm2-135m-instruct: Apache-2.0.",
        "| lora rank | 32 |",
        "| learning_rate | 0.001 |",
        "| train.jsonl.gz | 12 | 1 | f00d |",
        "Adapter: SHA-256 beef.",
    ):
        assert line in card.splitlines()
    assert "seed 7, 1.2 hours, 1 process. It went on from the adapter 5ba1d." in card
    assert "pearson 0.512" in card
    assert card.startswith("---\nlibrary_name: peft\n") and "None" not in card


def test_a_card_says_what_is_not_known():
    card = model_card(CardFacts(name="mine", base="a model that is not named", kind="gguf"))
    for words in ("No benchmark was run on it.", "Not known: exported from an adapter alone.",
                  "Not known: the folder that `glider data` made", "see its own card",
                  "--model FILE.gguf"):  # fmt: skip
        assert words in card
    assert "None" not in card


def test_hours_are_those_of_updates_and_measuring():
    lines = [{"tokens": 7200, "tokens_per_s": 2.0}, {"eval_seconds": 1800.0}, {"event": "stopped"}]
    assert hours(lines) == pytest.approx(1.5)
