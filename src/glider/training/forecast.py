"""Forecast a training: tokens, updates, and rough time and memory.

Counts are exact. Time is estimated from the model's operation count and this machine's current
speed at matrix products, memory from the bytes kept per weight and per token. Both are rough,
within a factor of two, and are labelled as such.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glider.models.resolve import TorchWeights
from glider.training.base_model import (
    check_frozen,
    computes_in_bf16,
    find_base,
    load_config,
    load_tokenizer,
    needs_torch,
)
from glider.training.batches import Updates
from glider.training.recipe import Recipe
from glider.training.stage_data import Folders, StageData, stage_data
from glider.training.stage_run import updates_of
from glider.training.start import n_trained, with_start
from glider.training.tokens import Coder

_USED = 0.5
"""Share of the machine's plain matrix-product speed that training reaches; 0.43 to 0.77 measured
(SmolLM2-135M, one Zen 5 core, 1,280 tokens per pass)."""
_ADAM = 12
"""Extra bytes per trained fp32 weight: its gradient and AdamW's two moments."""
_SEEN = 64
"""Number of updates sampled to estimate padding."""


@dataclass(frozen=True, slots=True)
class StageForecast:
    """The forecast of one stage."""

    name: str
    examples: int
    too_long: int
    dev: int | None
    tokens: int
    """Prompt and answer tokens of all examples, each example counted once."""
    learnt_score: int
    learnt_text: int
    longest: int
    updates: int
    padding: float
    """Share of computed tokens that is padding."""
    hours: float
    example: str
    """Rendering of the first example (given, score, text); empty if the stage renders none."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of a training."""

    recipe: Recipe
    """The recipe, with the settings of the adapter it starts from."""
    base: TorchWeights
    weights: int
    trained: int
    precision: str
    memory_gb: float
    stages: tuple[StageForecast, ...]


def dry_run(recipe: Recipe, data: Folders) -> Forecast:
    """Forecast a training from its examples and the model's settings, without loading weights.

    Raises:
        SetupError, DataError, ModelFileError: as `run.train`.
    """
    needs_torch()
    base = find_base(recipe.base, recipe.revision)
    recipe, start = with_start(recipe, base)
    coder = Coder(load_tokenizer(base), model=base.name)
    stages = stage_data(recipe, data, coder)
    size = _Size(load_config(base), recipe, start)
    bf16 = computes_in_bf16() if recipe.precision == "auto" else recipe.precision == "bf16"
    speed = _products_per_s(recipe, bf16=bf16) * _USED * recipe.processes
    found = [_stage(coder, one, recipe, size, speed) for one in stages]
    widest = max(stage.batch_tokens for stage in recipe.stages)
    memory = size.bytes(bf16=bf16) + size.activations(
        widest, recompute=recipe.recompute_activations
    )
    return Forecast(
        recipe=recipe,
        base=base,
        weights=size.all,
        trained=size.trained,
        precision="bf16" if bf16 else "fp32",
        memory_gb=memory / 1e9,
        stages=tuple(found),
    )


def _stage(
    coder: Coder, data: StageData, recipe: Recipe, size: "_Size", speed: float
) -> StageForecast:
    examples: Sequence[Any] = data.train.kept
    updates: Updates = updates_of(recipe, data)
    seen = range(min(len(updates), _SEEN))
    real = sum(len(examples[index]) for n in seen for index in updates.examples(n))
    computed = sum(updates.padded_tokens(n) for n in seen)
    stage = data.stage
    each = size.products * stage.sequences + size.forward * stage.reference_sequences
    learnt = stage.learnt_tokens(coder, examples)
    tokens = sum(len(one) for one in examples)
    return StageForecast(
        name=data.name,
        examples=len(examples),
        too_long=data.train.too_long,
        dev=len(data.dev.kept) if data.dev else None,
        tokens=tokens,
        learnt_score=learnt.score,
        learnt_text=learnt.text,
        longest=max(len(one) for one in examples),
        updates=len(updates),
        padding=1 - real / computed,
        hours=tokens * data.stage.epochs * computed / real * each / speed / 3600,
        example=learnt.picture,
    )


class _Size:
    """A model's weight counts and its multiplications per token."""

    def __init__(self, config: Any, recipe: Recipe, start: Path | None) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        makes: Any = AutoModelForCausalLM
        with torch.device("meta"):
            model = makes.from_config(config)
        text = config.get_text_config()
        self.layers, self.width = int(text.num_hidden_layers), int(text.hidden_size)
        self.inner = int(getattr(text, "intermediate_size", 4 * self.width))
        self.all = sum(weight.numel() for weight in model.parameters())
        head = model.get_output_embeddings()
        linear = [
            module
            for module in model.modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        ]
        inside = sum(module.weight.numel() for module in linear)
        share = 1 - check_frozen(config, recipe) / self.layers
        self._inside, self._outside = inside, self.all - inside
        if recipe.lora is None:
            self.trained = round(inside * share) + (0 if recipe.frozen_layers else self._outside)
        elif start is not None:
            self.trained = n_trained(start, recipe.frozen_layers)
        else:
            pairs = sum(m.in_features + m.out_features for m in linear)
            self.trained = round(pairs * recipe.lora.rank * share)
        self._lora = recipe.lora is not None
        self.forward = 2 * inside
        again = 2 * inside * share if recipe.recompute_activations else 0
        weights = 2 * self.trained if self._lora else 2 * inside * share
        self.products = self.forward + 2 * inside * share + weights + again

    def bytes(self, *, bf16: bool) -> float:
        """Return the bytes of weights, gradients and optimizer state."""
        each = 2 if self._lora and bf16 else 4
        own = self._inside * each + self._outside * 4 + (4 * self.trained if self._lora else 0)
        return float(own + _ADAM * self.trained)

    def activations(self, tokens: int, *, recompute: bool) -> float:
        """Return the bytes of one pass's kept activations, at four bytes per value on average."""
        kept = 1 if recompute else 10 + 4 * self.inner / self.width
        layers = self.layers if not recompute else self.layers + 16
        return 4.0 * tokens * self.width * kept * layers


def _products_per_s(recipe: Recipe, *, bf16: bool) -> float:
    """Measure floating-point operations per second in a matrix product of a small model's shape."""
    import torch

    before = torch.get_num_threads()
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    kind = torch.bfloat16 if bf16 else torch.float32
    a, b = (torch.randn(n, 1024, device=device, dtype=kind) for n in (1024, 1536))
    n, best = 5, float("inf")
    for _ in range(4):
        began = time.perf_counter()
        for _ in range(n):
            product = a @ b.T
        float(product[0, 0])  # Wait for the device.
        best = min(best, time.perf_counter() - began)
    torch.set_num_threads(before)
    return n * 2 * 1024 * 1024 * 1536 / best
