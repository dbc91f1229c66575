"""Convert a quantised GGUF file to a Hugging Face folder, once, so that torch loads it fast.

transformers reads a GGUF slowly (13 to 39 s for 135M parameters) and cannot save the result. We use
it for the config and the tokenizer, and convert the weights here: dequantised and rounded to bf16,
they give answers close to the GGUF's, but not equal. Only llama-architecture files are accepted;
the tensor order of others is untested.
"""

import math
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from glider.core.errors import MissingExtra, ModelFileError
from glider.models.adapters import ARCHITECTURES, Layout
from glider.models.catalog import writing
from glider.models.gguf_header import read_header, read_places
from glider.models.quiet import quietly
from glider.models.tensor_files import Floats, write_bf16


def to_hf_folder(gguf: Path, folder: Path) -> None:
    """Write config, tokenizer with chat template, and bf16 safetensors, atomically.

    Args:
        gguf: the file to convert.
        folder: the output folder; left unchanged if it already exists.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelFileError: the file is missing, damaged, or of another architecture; or `folder` cannot
            be written.
    """
    if folder.is_dir():
        return
    try:
        import torch
        from transformers import AutoConfig, AutoTokenizer, GenerationConfig
    except ImportError as exc:
        raise MissingExtra("converting a GGUF", "torch") from exc
    if not gguf.is_file():
        raise ModelFileError(f"no such file: {gguf}")
    try:
        with quietly():
            config = AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name)
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (OSError, ValueError, RuntimeError, KeyError) as exc:
        raise ModelFileError(f"{gguf.name} cannot be read as a GGUF model: {exc}") from exc
    if config.model_type not in ARCHITECTURES:
        raise ModelFileError(
            f"{gguf.name} is a {config.model_type} model; converted are only "
            + ", ".join(ARCHITECTURES),
            hint="use the model's own Hugging Face folder, or the embedded backend",
        )
    if size := read_header(gguf).get(f"{config.model_type}.attention.key_length"):
        config.head_dim = int(size)  # for some, transformers uses its class's default
    config.architectures, config.dtype = [ARCHITECTURES[config.model_type]], torch.bfloat16
    with writing(folder.parent):
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            config.save_pretrained(part)
            GenerationConfig.from_model_config(config).save_pretrained(part)
            _write_weights(gguf, part / "model.safetensors")
            save_tokenizer(tokenizer, part)
            part.chmod(0o755)
            # Another process may have been faster: a folder under its final name is complete.
            with suppress(OSError):
                part.rename(folder)
            if not folder.is_dir():
                raise ModelFileError(f"cannot write {folder}")
        finally:
            shutil.rmtree(part, ignore_errors=True)


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Write a tokenizer's files.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    try:
        tokenizer.save_pretrained(folder)
    except Exception as exc:
        # tokenizers writes in Rust and reports system errors only as text.
        number = re.search(r"\(os error (\d+)\)", str(exc))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(folder)) from exc


def _write_weights(source: Path, target: Path) -> None:
    """Write every tensor of a GGUF under its Hugging Face name and in Hugging Face row order."""
    # gguf's own reader wraps every vocabulary entry, which takes as long as all the weights.
    from gguf import GGMLQuantizationType, quants

    layout = Layout.of(source)
    places = {
        layout.hf_names[name]: (name, place)
        for name, place in read_places(source).items()
        if name in layout.hf_names
    }
    stored = np.memmap(source, mode="r")

    def read(theirs: str) -> Floats:
        name, place = places[theirs]
        kind = GGMLQuantizationType(place.kind)
        shape = quants.quant_shape_to_byte_shape(place.shape, kind)
        packed = stored[place.start : place.start + math.prod(shape)].reshape(shape)
        try:
            return layout.hf_order(name, quants.dequantize(packed, kind))
        except NotImplementedError as exc:
            raise ModelFileError(f"{source.name}: {name} is {kind.name}, not readable") from exc

    with target.open("wb") as file:
        write_bf16(file, {name: place.shape for name, (_, place) in sorted(places.items())}, read)
