"""Low-rank adapters in PEFT's layout, added to a model's weights with numpy alone.

An adapter is a folder with `adapter_config.json` and `adapter_model.safetensors`. Each matrix W
becomes W + s B A, with s = alpha / r (Hu et al. 2021, arXiv 2106.09685), or alpha / sqrt(r) where
the config sets `use_rslora`. Other PEFT features (DoRA, biases, trained embeddings) are refused by
name: ignoring them would give a model that nobody has measured.

Tensor names are Hugging Face's. A GGUF has other names and, for the llama architecture, stores the
rows of the query and key matrices in another order: `gguf_order` and `hf_order` convert each way.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from glider.core.errors import ModelFileError, SetupError
from glider.models.fetch import Progress
from glider.models.gguf_header import read_header, read_places
from glider.models.requantise import requantise
from glider.models.tensor_files import Floats, Opens, TensorFile, open_tensors

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_KEY = re.compile(r"base_model\.model\.(?P<name>.+)\.lora_(?P<half>[AB])\.weight")
_MATRICES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_WHOLE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_BLOCK = re.compile(r"blk\.(?P<number>\d+)\.(?P<name>\w+)\.(?P<part>weight|bias)")
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
"""Supported GGUF architectures, with the transformers class for each."""
_UNSUPPORTED = {
    "use_dora": "DoRA",
    "modules_to_save": "modules_to_save",
    "trainable_token_indices": "trained tokens",
    "layer_replication": "replicated layers",
    "lora_bias": "a LoRA bias",
    "target_parameters": "target_parameters",
    "alora_invocation_tokens": "an activated LoRA",
    "use_bdlora": "block-diagonal LoRA",
    "use_qalora": "QALoRA",
}
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Initializations that leave the base unchanged; PiSSA, OLoRA, LoftQ and others modify it."""
_CHUNK = 1 << 20


class Folder(Protocol):
    """A folder on disk or inside the package."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    def joinpath(self, name: str, /) -> Opens:
        """Return an entry of the folder."""
        ...


@dataclass(frozen=True, slots=True)
class Adapter:
    """The low-rank factors of every trained matrix, and their scale."""

    factors: Mapping[str, tuple[Floats, Floats, float]]
    """Hugging Face name of the weight to A, shape (rank, in), B, shape (out, rank), and scale."""
    trained_on: str
    """Base model named in the config; a catalogue name if Glider trained the adapter."""
    sha256: str
    """Hash of the config followed by the weights, as from `cat CONFIG WEIGHTS | sha256sum`."""

    @classmethod
    def read(cls, folder: Folder) -> Self:
        """Read an adapter from a folder.

        Raises:
            ModelFileError: a file is missing or damaged, or its numbers are not finite.
            SetupError: the adapter is not plain LoRA.
        """
        config = _config(folder)
        factors: dict[str, tuple[Floats, Floats, float]] = {}
        with open_tensors(folder.joinpath(WEIGHTS)) as tensors:
            halves = {name: _KEY.fullmatch(name) for name in tensors.names}
            if odd := [name for name, match in halves.items() if match is None]:
                raise SetupError(f"{folder.name}: {odd[0]} is not a LoRA weight of a linear layer")
            names = {match["name"] for match in halves.values() if match}
            if not names:
                raise ModelFileError(f"{folder.name} holds no LoRA weights")
            for name in sorted(names):
                a, b = (_half(tensors, name, half, folder.name) for half in "AB")
                if a.ndim != 2 or b.ndim != 2 or len(a) != b.shape[1]:
                    raise ModelFileError(f"{folder.name}: the two halves of {name} do not fit")
                factors[f"{name}.weight"] = (a, b, _scale(config, name, len(a)))
        return cls(factors, str(config.get("base_model_name_or_path") or ""), sha256(folder))

    def added(self, name: str, weights: Floats) -> Floats:
        """Return a matrix (named as in Hugging Face) with the adapter added to its weights.

        Raises:
            ModelFileError: the adapter's matrix has another shape.
        """
        if name not in self.factors:
            return weights
        a, b, scale = self.factors[name]
        if weights.shape != (len(b), a.shape[1]):
            raise ModelFileError(
                f"the adapter does not fit this base: {name} is {weights.shape}, "
                f"the adapter's {(len(b), a.shape[1])}",
                hint=f"it was trained on {self.trained_on or 'an unnamed base'}",
            )
        merged: Floats = weights + np.float32(scale) * (b @ a)
        return merged

    def check_all_used(self, names: set[str]) -> None:
        """Raise unless the base has every matrix the adapter changes."""
        if missing := sorted(self.factors.keys() - names):
            raise ModelFileError(
                f"the adapter does not fit this base, which has no {missing[0]}",
                hint=f"it was trained on {self.trained_on or 'an unnamed base'}",
            )


def sha256(folder: Folder) -> str:
    """SHA-256 of an adapter: its config, then its weights."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        try:
            with folder.joinpath(name).open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
        except OSError as exc:
            raise ModelFileError(f"{folder.name} has no readable {name}") from exc
    return digest.hexdigest()


def sizes(folder: Folder) -> dict[str, tuple[int, int, int]]:
    """Return outputs, inputs and rank of each adapted layer, without reading the weights.

    Raises:
        ModelFileError: the file is missing or damaged.
    """
    found = {}
    with open_tensors(folder.joinpath(WEIGHTS)) as tensors:
        names = {match["name"] for key in tensors.names if (match := _KEY.fullmatch(key))}
        for name in sorted(names):
            try:
                (rank, inputs), (outputs, _) = (
                    tensors.shape(f"base_model.model.{name}.lora_{half}.weight") for half in "AB"
                )
            except (KeyError, ValueError) as exc:
                raise ModelFileError(f"{folder.name}: {name} has not two halves") from exc
            found[name] = outputs, inputs, rank
    if not found:
        raise ModelFileError(f"{folder.name} holds no LoRA weights")
    return found


def trained_on(folder: Folder) -> str:
    """Return the base model named in the adapter's config; empty if it names none."""
    return str(_config(folder).get("base_model_name_or_path") or "")


def add_to_gguf(base: Path, adapter: Adapter, target: Path, kind: str, progress: Progress) -> None:
    """Write a GGUF with the adapter added; header and tokenizer are the base's.

    Args:
        kind: "q8_0", "q4_0" or "f16".

    Raises:
        ModelFileError: the adapter does not fit, or the base's architecture is not supported.
        OSError: `target` cannot be written; the caller must remove a partial file.
    """
    layout = Layout.of(base)
    adapter.check_all_used(set(layout.hf_names.values()))

    def change(name: str, weights: Floats) -> Floats:
        merged = adapter.added(layout.hf_names[name], layout.hf_order(name, weights))
        return layout.gguf_order(name, merged)

    trained = [name for name, theirs in layout.hf_names.items() if theirs in adapter.factors]
    requantise(base, target, kind, progress, {name: partial(change, name) for name in trained})


def replace_in_gguf(base: Path, folder: Path, target: Path, kind: str, progress: Progress) -> None:
    """Write a GGUF with the weights of a Hugging Face folder and everything else from the base.

    Raises:
        ModelFileError: the folder's tensors differ from the GGUF's.
        OSError: as `add_to_gguf`.
    """
    layout = Layout.of(base)
    wanted = set(layout.hf_names.values())
    with open_weights(folder) as weights:
        # With tied embeddings, some files also store the output matrix and others do not.
        tied = {_WHOLE["output.weight"]} - wanted
        if odd := sorted(wanted ^ (weights.keys() - tied)):
            raise ModelFileError(f"{folder.name} and {base.name} differ: only one has {odd[0]}")

        def change(name: str, old: Floats) -> Floats:
            theirs = layout.hf_names[name]
            new = layout.gguf_order(name, weights[theirs].read(theirs))
            if new.shape != old.shape:
                raise ModelFileError(
                    f"{folder.name} and {base.name} differ: {theirs} is {new.shape} and {old.shape}"
                )
            return new

        requantise(
            base, target, kind, progress, {name: partial(change, name) for name in layout.hf_names}
        )


@contextmanager
def open_weights(folder: Path) -> Iterator[dict[str, TensorFile]]:
    """Map every tensor of a Hugging Face folder to its open file.

    Raises:
        ModelFileError: the folder has no safetensors files, or one is damaged.
    """
    with ExitStack() as stack:
        found: dict[str, TensorFile] = {}
        for path in sorted(folder.glob("*.safetensors")):
            file = stack.enter_context(open_tensors(path))
            found |= dict.fromkeys(file.names, file)
        if not found:
            raise ModelFileError(f"{folder.name} has no .safetensors weights")
        yield found


@dataclass(frozen=True, slots=True)
class Layout:
    """How a GGUF's tensor names and row order map to Hugging Face's."""

    hf_names: Mapping[str, str]
    """GGUF tensor name to Hugging Face name."""
    heads: int
    """Number of query heads, if their rows need reordering; else 0."""
    kv_heads: int
    """Number of key heads, likewise."""

    @classmethod
    def of(cls, gguf: Path) -> Self:
        """Read the layout of a GGUF file.

        Raises:
            ModelFileError: the model's architecture is not one of `ARCHITECTURES`.
        """
        header = read_header(gguf)
        kind = header.get("general.architecture")
        if kind not in ARCHITECTURES:
            raise ModelFileError(
                f"{gguf.name} is a {kind} model; weights are put into files of these alone: "
                + ", ".join(ARCHITECTURES),
                hint="export with --to hf and convert the folder with llama.cpp's own script",
            )
        heads = kv_heads = 0
        if kind == "llama":
            heads = int(header["llama.attention.head_count"])
            kv_heads = int(header.get("llama.attention.head_count_kv", heads))
        names = {name: _hf_name(name) for name in read_places(gguf)}
        return cls({ours: theirs for ours, theirs in names.items() if theirs}, heads, kv_heads)

    def gguf_order(self, name: str, weights: Floats) -> Floats:
        """Reorder the rows of a matrix from Hugging Face's order to the GGUF's.

        Rotary embeddings rotate pairs of rows in a head. Hugging Face stores the first rows of all
        pairs, then the second rows; llama.cpp stores each pair side by side in llama files, and
        uses Hugging Face's order in all others.
        """
        heads = self._rotated(name)
        if not heads:
            return weights
        halves = weights.reshape(heads, 2, len(weights) // heads // 2, *weights.shape[1:])
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weights.shape))

    def hf_order(self, name: str, weights: Floats) -> Floats:
        """Reorder rows from the GGUF's order to Hugging Face's; the inverse of `gguf_order`."""
        heads = self._rotated(name)
        if not heads:
            return weights
        pairs = weights.reshape(heads, len(weights) // heads // 2, 2, *weights.shape[1:])
        return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(weights.shape))

    def _rotated(self, name: str) -> int:
        """Number of heads of a matrix whose rows need reordering; 0 for all others."""
        if name.endswith(".attn_q.weight"):
            return self.heads
        return self.kv_heads if name.endswith(".attn_k.weight") else 0


def _hf_name(name: str) -> str | None:
    """Hugging Face name of a GGUF tensor; None for computed ones (RoPE factors)."""
    match = _BLOCK.fullmatch(name)
    if match is None:
        return _WHOLE.get(name)
    theirs = _MATRICES.get(match["name"])
    return f"model.layers.{match['number']}.{theirs}.{match['part']}" if theirs else None


def read_config(folder: Folder) -> dict[str, Any]:
    """Read the PEFT config of an adapter.

    Raises:
        ModelFileError: the config is missing or damaged.
        SetupError: the adapter is not LoRA.
    """
    try:
        with folder.joinpath(CONFIG).open("rb") as file:
            config = json.load(file)
    except OSError as exc:
        raise ModelFileError(f"{folder.name} has no readable {CONFIG}") from exc
    except ValueError as exc:
        raise ModelFileError(f"{folder.name}: {CONFIG} is not JSON") from exc
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        kind = config.get("peft_type") if isinstance(config, dict) else None
        raise SetupError(f"{folder.name} is a {kind or 'nameless'} adapter; only LORA is read")
    return config


def _config(folder: Folder) -> dict[str, Any]:
    config = read_config(folder)
    for key, what in _UNSUPPORTED.items():
        if config.get(key):
            raise SetupError(f"{folder.name} has {what}, which cannot be merged here")
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:
        raise SetupError(
            f"{folder.name} began as {config['init_lora_weights']}, which changes the base",
            hint="convert it with PEFT's path_initial_model_for_weight_conversion",
        )
    if config.get("bias", "none") != "none" or config.get("fan_in_fan_out"):
        raise SetupError(f"{folder.name} has biases or transposed weights; plain LoRA has neither")
    return config


def _half(tensors: TensorFile, name: str, half: str, folder: str) -> Floats:
    key = f"base_model.model.{name}.lora_{half}.weight"
    if key not in tensors.names:
        raise ModelFileError(f"{folder}: {key} is missing")
    numbers = tensors.read(key)
    if not np.isfinite(numbers).all():
        raise ModelFileError(f"{folder}: {key} has numbers that are not finite")
    return numbers


def _scale(config: Mapping[str, Any], name: str, rank: int) -> float:
    alpha = float(_pattern(config.get("alpha_pattern"), name, config["lora_alpha"]))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _pattern(patterns: Mapping[str, Any] | None, name: str, default: Any) -> Any:
    """Apply PEFT's rule: the first key that, as a regular expression, matches the name's end."""
    for pattern, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", name):
            return value
    return default
