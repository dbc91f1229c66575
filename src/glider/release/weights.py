"""Convert an adapter into a clean adapter, a Hugging Face folder, or a GGUF.

Needs no torch. Outputs are written to a temporary place and renamed when complete. The GGUF is the
base's file with its weights replaced, so header, tokenizer and chat template stay unchanged. The
Hugging Face folder is the base's folder with weights in bf16, which vLLM and transformers read.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from glider.core.errors import ModelFileError, NoChatTemplate
from glider.models.adapters import (
    CONFIG,
    WEIGHTS,
    Adapter,
    add_to_gguf,
    open_weights,
    replace_in_gguf,
)
from glider.models.catalog import FORMAT_FILE, base_named, is_adapter
from glider.models.fetch import Progress
from glider.models.tensor_files import TensorFile, open_tensors, write_bf16
from glider.store.atomic import new_folder, replacing

_INDEX = "model.safetensors.index.json"
_KEPT = (".json", ".jinja", ".model", ".txt", ".py")
"""Extensions of a model's configuration, tokenizer and custom code files."""


def merge(base: Path, adapter: Path | None, out: Path, *, card: str = "") -> None:
    """Write a Hugging Face folder: `base` with `adapter` added, in bf16.

    The sum is computed in float32 and rounded once.

    Args:
        base: a Hugging Face folder with safetensors weights and a chat template.
        adapter: None writes the base's own weights (for full fine-tuning).
        card: Markdown, the folder's README.

    Raises:
        ModelFileError: a file is missing or damaged, or the adapter does not fit.
        NoChatTemplate: the base has no chat template, so the result could not be prompted.
        RunError: `out` already exists or cannot be written; no partial output is left.
    """
    added = Adapter.read(adapter) if adapter else None
    config = _json(base / "config.json")
    if "quantization_config" in config:
        raise ModelFileError(
            f"{base.name} is quantised; weights are added to plain ones only",
            hint="give the checkpoint before quantisation with --base",
        )
    _check_chat_template(base)
    with open_weights(base) as weights, new_folder(out) as new:
        if added is not None:
            added.check_all_used(set(weights))
        size = 0
        for path in sorted(base.iterdir()):
            if path.suffix == ".safetensors":
                here = {name: file for name, file in weights.items() if file.path == path}
                size += _write(new / path.name, here, added)
            elif path.suffix in _KEPT and path.is_file():
                shutil.copyfile(path, new / path.name)
        if (new / _INDEX).exists():
            index = _json(new / _INDEX)
            index["metadata"] = index.get("metadata", {}) | {"total_size": size}
            (new / _INDEX).write_text(json.dumps(index, indent=2) + "\n")
        if adapter is not None:
            _copy_form(adapter, new)
        config.pop("_name_or_path", None)
        config["torch_dtype" if "torch_dtype" in config else "dtype"] = "bfloat16"
        (new / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        _write_card(new, card)


def to_gguf(base: Path, weights: Path, out: Path, kind: str, progress: Progress) -> None:
    """Write a GGUF for the embedded engine: `base` with other weights.

    Args:
        base: a llama GGUF, which provides header, tokenizer and chat template.
        weights: folder of an adapter, or Hugging Face folder of a fully fine-tuned model.
        kind: "q8_0", "q4_0" or "f16"; norms stay float32.

    Raises:
        ModelFileError: a file is missing or damaged, or the two do not fit.
        RunError: `out` cannot be written; an existing file is left unchanged.
    """
    with replacing(out) as file:
        # The writer opens the file by name; we then sync it to disk and rename it.
        part = Path(file.name)
        if is_adapter(weights):
            add_to_gguf(base, Adapter.read(weights), part, kind, progress)
        else:
            replace_in_gguf(base, weights, part, kind, progress)


def copy_adapter(adapter: Path, out: Path, *, card: str | Callable[[Path], str] = "") -> None:
    """Write an adapter in bf16 without other training files; name its base without a path.

    The record of the prompt format it was trained on is copied too.

    Args:
        card: the model card, or a function that makes it from the folder with the new weights.

    Raises:
        ModelFileError: a file is missing or damaged.
        SetupError: `glider` does not support this kind of adapter.
        RunError: `out` already exists or cannot be written; no partial output is left.
    """
    trained_on = Adapter.read(adapter).trained_on
    config = _json(adapter / CONFIG)
    # The last part of a path identifies the model and reveals nothing about the machine.
    config["base_model_name_or_path"] = base_named(trained_on) or (
        Path(trained_on).name if Path(trained_on).is_absolute() else trained_on
    )
    if isinstance(targets := config.get("target_modules"), list):
        config["target_modules"] = sorted(targets)  # PEFT writes a set, in varying order
    with new_folder(out) as new:
        (new / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        with open_tensors(adapter / WEIGHTS) as weights, (new / WEIGHTS).open("wb") as file:
            write_bf16(file, {name: weights.shape(name) for name in weights.names}, weights.read)
        _copy_form(adapter, new)
        _write_card(new, card if isinstance(card, str) else card(new))


def _copy_form(weights: Path, new: Path) -> None:
    if (weights / FORMAT_FILE).exists():
        shutil.copyfile(weights / FORMAT_FILE, new / FORMAT_FILE)


def _write_card(folder: Path, card: str) -> None:
    if card:
        (folder / "README.md").write_text(card, "utf-8")


def _write(path: Path, weights: dict[str, TensorFile], added: Adapter | None) -> int:
    def read(name: str) -> Any:
        old = weights[name].read(name)
        return added.added(name, old) if added is not None else old

    with path.open("wb") as file:
        return write_bf16(file, {n: file_.shape(n) for n, file_ in weights.items()}, read)


def _check_chat_template(folder: Path) -> None:
    if (folder / "chat_template.jinja").is_file():
        return
    tokenizer = folder / "tokenizer_config.json"
    if not (tokenizer.is_file() and _json(tokenizer).get("chat_template")):
        raise NoChatTemplate(folder.name)


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text("utf-8"))
    except OSError as exc:
        raise ModelFileError(f"{path.parent.name} has no readable {path.name}") from exc
    except ValueError as exc:
        raise ModelFileError(f"{path.parent.name}: {path.name} is not JSON") from exc
    if not isinstance(data, dict):
        raise ModelFileError(f"{path.parent.name}: {path.name} is no JSON object")
    return data
