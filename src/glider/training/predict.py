"""Compute a model's level probabilities at the position where training and serving read them.

Prompt tokens, passes and the output layer are those of training (`logits`), so predictions use
exactly the inputs that the model was trained on and that a judge is served with. Only bare scores
are supported: one position per example, right after the answer's opening.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glider.models.quiet import quietly
from glider.models.resolve import TorchWeights
from glider.training.base_model import computes_in_bf16, load_to_train
from glider.training.batches import Updates
from glider.training.logits import learnt_positions, read_only_learnt
from glider.training.recipe import Recipe
from glider.training.tokens import Encoded

_SORTED = 256
"""Number of examples that are sorted by length together."""


def load_to_ask(base: TorchWeights, adapter: Path | None, recipe: Recipe) -> Any:
    """Load the model as training does, for use with `level_probabilities`.

    Args:
        adapter: folder of an adapter to apply to `base`; None for the base model alone.
        recipe: how to load the model; its stages are not run.

    Raises:
        ModelFileError: the model is missing or damaged.
    """
    import torch

    with quietly():
        model = load_to_train(base, recipe, bf16=_in_bf16(recipe))
        if adapter is not None:
            from peft import PeftModel

            model = PeftModel.from_pretrained(model, str(adapter))
    read_only_learnt(model.get_base_model() if adapter is not None else model)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return model.to(device or "cpu").eval()


def level_probabilities(
    model: Any, asked: Sequence[Encoded], recipe: Recipe, *, pad_id: int
) -> list[tuple[float, ...]]:
    """Return the probabilities of each example's labels, in the rubric's order; they sum to 1.

    Args:
        model: from `load_to_ask` with the same recipe, whose first stage limits the size of a pass.
        asked: bare-score examples whose labels are one token each.
    """
    import torch

    bf16 = _in_bf16(recipe)
    passes = Updates(
        [len(one) for one in asked],
        batch=_SORTED,
        batch_tokens=recipe.stages[0].batch_tokens,
        shuffle=False,
    )
    found: dict[int, tuple[float, ...]] = {}
    with torch.no_grad(), torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
        for update in range(len(passes)):
            for rows in passes.passes(update):
                one = learnt_positions(rows, asked, pad_id=pad_id)
                answer = model(
                    **{name: value.to(model.device) for name, value in one["model"].items()}
                )
                # One trained position per row, in row order.
                for row, logits in zip(rows, answer["logits"], strict=True):
                    place = asked[row.index].score
                    assert place is not None
                    probs = logits[: len(place.label_ids)].softmax(-1)
                    found[row.index] = tuple(probs.tolist())
    return [found[number] for number in range(len(asked))]


def _in_bf16(recipe: Recipe) -> bool:
    return computes_in_bf16() if recipe.precision == "auto" else recipe.precision == "bf16"
