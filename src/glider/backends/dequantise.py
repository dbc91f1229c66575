"""Turn a quantised GGUF file into a Hugging Face folder, once, so that torch loads it in no time.

transformers reads a GGUF slowly (13 to 39 s for 135M parameters) and will not save what it read.
The weights are the dequantised ones, rounded to bf16: close to the GGUF's answers, not equal to
them. Only llama-architecture files are taken; others order their tensors in ways not tried here.
"""

import shutil
import tempfile
from contextlib import redirect_stderr, suppress
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from glider.backends.quiet import quietly
from glider.core.errors import MissingExtra, ModelFileError


def to_hf_folder(gguf: Path, folder: Path) -> None:
    """Write config, tokenizer with chat template, and bf16 safetensors; a whole folder or none.

    Args:
        gguf: the file to convert.
        folder: where to; left alone if it is there already.

    Raises:
        MissingExtra: torch, transformers or accelerate is not installed.
        ModelFileError: the file is missing, damaged, or of another architecture.
    """
    if folder.is_dir():
        return
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as exc:
        raise MissingExtra("converting a GGUF", "torch") from exc
    if find_spec("accelerate") is None:  # transformers reads a GGUF through it
        raise MissingExtra("converting a GGUF", "torch")
    if not gguf.is_file():
        raise ModelFileError(f"no such file: {gguf}")
    try:
        # The bar of the conversion asks nobody whether it is wanted.
        with quietly(), redirect_stderr(StringIO()):
            packed = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    except (OSError, ValueError, RuntimeError, KeyError) as exc:
        raise ModelFileError(f"{gguf.name} cannot be read as a GGUF model: {exc}") from exc
    config = packed.config
    if config.model_type != "llama":
        raise ModelFileError(
            f"{gguf.name} is a {config.model_type} model; only llama files are converted",
            hint="use the model's own Hugging Face folder, or the embedded backend",
        )
    del config.quantization_config
    config.dtype = torch.bfloat16
    # save_pretrained refuses anything that was loaded as a GGUF, hence a new model.
    model: Any = type(packed)(config)
    model.to(torch.bfloat16)
    model.load_state_dict(packed.state_dict())
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        with quietly():
            model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        part.chmod(0o755)
        # Another process may have been quicker: a folder under its final name is always whole.
        with suppress(OSError):
            part.rename(folder)
        if not folder.is_dir():
            raise ModelFileError(f"cannot write {folder}")
    finally:
        shutil.rmtree(part, ignore_errors=True)
