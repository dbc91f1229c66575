"""A third kind of stage is one class: recipe, dry run, training and resuming know it by its name."""

import json
import sys

import pytest
from tiny_models import example, recipe_of, write

torch = pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("trl", reason="training needs trl")

from typing import ClassVar, Literal  # noqa: E402

from glider.training import train  # noqa: E402
from glider.training.folder import curve  # noqa: E402
from glider.training.forecast import dry_run  # noqa: E402
from glider.training.recipe import described, parse_recipe  # noqa: E402
from glider.training.stages import STAGES  # noqa: E402
from glider.training.stages.base import Count, Stage, Trl  # noqa: E402


class CopyStage(Stage):
    """Learn to repeat the prompt: plain cross-entropy of every token."""

    metrics: ClassVar = ("loss",)
    learns_scores: ClassVar = False
    made_by: ClassVar = "anything makes it"

    kind: Literal["copy"]
    """Of this test."""
    train: str = "texts.jsonl.gz"
    """File of examples."""
    dev: str | None = None
    """File to measure on."""
    skipped: Count = 1
    """Tokens at the beginning that are not learnt."""

    def read(self, path):
        from glider.corpus.examples import read_examples

        return read_examples(path)

    def encode(self, coder, record):
        return coder.example(record).ids

    def trl(self):
        from trl import SFTConfig, SFTTrainer

        return Trl(SFTTrainer, SFTConfig, {})

    def totals(self, examples):
        return sum(len(ids) - self.skipped for ids in examples)

    def collate(self, rows, examples, totals, *, pad_id):
        ids = [torch.tensor(examples[row.index]) for row in rows if row.counts]
        padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-100)
        return {
            "model": {"input_ids": padded.clamp(min=0), "attention_mask": (padded >= 0).long()},
            "labels": padded,
            "total": torch.tensor(float(totals)),
        }

    def pass_loss(self, trainer, model, one):
        logits = model(**one["model"]).logits[:, self.skipped - 1 : -1]
        wanted = one["labels"][:, self.skipped :]
        loss = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum"
        )
        return loss / one["total"]

    def figures(self, trainer, model):
        raise AssertionError("nothing is measured here")


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setitem(STAGES._builtin, "copy", f"{__name__}:CopyStage")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[CopyStage.__module__])


def test_it_is_trained_after_another_and_resumed(known, tiny, data, tmp_path):
    write(data / "texts.jsonl.gz", [example(n, text="good " * (n % 3 + 1)) for n in range(12)])
    sft = recipe_of(tiny, epochs=1).stages[0].model_dump(mode="json")
    copy = {"kind": "copy", "learning_rate": 1e-2, "epochs": 4, "batch": 4, "batch_tokens": 256,
            "skipped": 2, "checkpoint": {"every": 2}}  # fmt: skip
    recipe = parse_recipe(
        {"name": "two", "base": str(tiny), "precision": "fp32", "stages": [sft, copy]}
    )
    assert dry_run(recipe, data).stages[1].updates == 12
    out = tmp_path / "run"
    done = train(recipe, data=data, out=out)
    assert done.folder == out / "2-copy" / "model"
    lines = [line for line in curve(out) if line["stage"] == "2-copy"]
    assert len(lines) == 12 and lines[-1]["loss"] < lines[0]["loss"] - 0.2
    # Resolved, it is in the manifest with its own settings, and can be asked again from there.
    kept = json.loads((out / "manifest.json").read_text())["recipe"]
    assert kept["stages"][1]["skipped"] == 2
    assert parse_recipe(kept).stages[1] == recipe.stages[1]
    assert train(recipe, data=data, out=out, resume=True) == done


def test_its_settings_are_checked_and_described(known):
    assert "### A stage of kind `copy`" in described()
    bad = {"base": "m", "stages": [{"kind": "copy", "learning_rate": 1e-3, "skiped": 3}]}
    with pytest.raises(
        Exception, match=r"no setting called 'stages.0.skiped'; did you mean 'skipped'"
    ):
        parse_recipe(bad)
    measured = {"kind": "copy", "learning_rate": 1e-3, "evaluate": {"metric": "pearson"}}
    with pytest.raises(Exception, match="a copy stage has no pearson; take loss"):
        parse_recipe({"base": "m", "stages": [measured]})
