"""A model's probability of each level, read where training and serving read it.

The prompt's tokens, the passes and the output layer are those of training (`logits`), so a model is
asked here exactly what it learnt, and what a judge will ask of it. Only bare scores are read: one
place in each example, right after its opening.
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
"""Examples that are sorted by length together."""


def load_to_ask(base: TorchWeights, adapter: Path | None, recipe: Recipe) -> Any:
    """The model as training has it in memory, to be asked with `level_probabilities`.

    Args:
        adapter: folder of an adapter that `base` gets; None is the base as it is.
        recipe: how it is loaded; its stages are not run.

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
    """The probabilities of each example's labels, in the rubric's order; they sum to 1.

    Args:
        model: of `load_to_ask` with the same recipe, whose first stage says what a pass may hold.
        asked: bare scores whose labels are one token each.
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
                # One learnt place in each row, in the order of the rows.
                for row, logits in zip(rows, answer["logits"], strict=True):
                    place = asked[row.index].score
                    assert place is not None
                    probs = logits[: len(place.label_ids)].softmax(-1)
                    found[row.index] = tuple(probs.tolist())
    return [found[number] for number in range(len(asked))]


def _in_bf16(recipe: Recipe) -> bool:
    return computes_in_bf16() if recipe.precision == "auto" else recipe.precision == "bf16"
