"""Tune a judge on the user's labels, and cross-validate the gain before keeping anything.

The labels are split into folds by prompt. Each fold is a separate training with the same recipe as
the final one, and predicts its held-out part. The untuned model predicts the same items. Only then,
if wanted, a final training uses all labels.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from glider.bench.gain import gain, gains, is_shown
from glider.bench.results import Results, estimate_of
from glider.core.errors import RunError
from glider.gold.own import own_labels
from glider.models.catalog import DEFAULT
from glider.release.card import card_of
from glider.release.model_card import CardFigure
from glider.release.weights import copy_adapter
from glider.store.atomic import write_json
from glider.store.folder import refuse_begun
from glider.studies.tuning.folder import TuningFolder, load
from glider.studies.tuning.labels import TuningLabels, read_labels
from glider.studies.tuning.settings import TuningSettings
from glider.training.base_model import needs_torch
from glider.training.folder import Progress, TrainingResult

Decide = Callable[[Results, bool], bool]
"""Decides whether to train on all labels and keep the adapter. Takes the results (`settings.shown`:
the gain is significant) and whether the user agreed before an interruption."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """The result of a tuning."""

    results: Results
    """Metrics, differences, plan and decision, as in tune.json."""
    shown: bool
    """Whether the gain's whole interval is on the better side of zero."""
    adapter: Path | None
    """The adapter that was kept, if any."""
    base: str
    """The adapter's base model."""
    criterion_in_records: bool
    """Whether the label records contain the criterion."""


def shown_to_be_better(results: Results, agreed: bool) -> bool:
    """Return True if the user agreed or the gain's whole interval is on the better side of zero."""
    return agreed or bool(results.settings["shown"])


def tune(
    labels: Path,
    out: Path,
    settings: TuningSettings | None = None,
    *,
    decide: Decide = shown_to_be_better,
    resume: bool = False,
    notify: Callable[[str], None] = lambda _text: None,
    progress: Progress | None = None,
) -> Tuned:
    """Train a judge on the user's labels, after cross-validating whether that improves it.

    Args:
        labels: a file or a reviewed run, as for `make_data`, with 50 to some thousands of labels.
        out: folder of the tuning; `out/adapter` is the adapter that is kept.
        decide: called once the cross-validated results are known.
        resume: continue the tuning in `out`.
        notify: called with a message for each step.
        progress: called with each line of the trainings' metrics.

    Raises:
        TooFewLabels, OneSidedLabels, DataError: the labels are unsuitable.
        SetupError, UnknownName, ModelFileError, MissingExtra: the model or the time limit is
            unsuitable.
        RunError, ManifestMismatch: the folder belongs to something else, is in use or cannot be
            written.
        TrainingError: NaN loss, out of memory or full disk.
    """
    settings = settings or TuningSettings()
    if not resume:
        refuse_begun(out)
    needs_torch()
    model = settings.model or DEFAULT
    labelled = own_labels(labels, preset=settings.preset, criterion=settings.criterion)
    start, base, coder = load(model)
    found = read_labels(labelled, labels.parent, coder, folds=settings.folds, seed=settings.seed)
    for note in found.notes:
        notify(f"labels: {note}")
    notify(
        f"tuning {model} on {len(found.items)} labels of {found.n_prompts} prompts, "
        f"{settings.folds} folds"
    )
    with TuningFolder(
        out, found, start, coder, base, folds=settings.folds, minutes=settings.minutes,
        seed=settings.seed, resume=resume, notify=notify, progress=progress,
    ) as folder:  # fmt: skip
        untuned = folder.untuned()
        plan = folder.plan()
        frozen = f", the lower {plan.frozen_layers} layers frozen" if plan.frozen_layers else ""
        notify(
            f"plan: each label seen {plan.epochs:g} times{frozen}; about {plan.minutes:g} minutes "
            "in all"
        )
        results = gains(
            labelled,
            found.items,
            found.fold,
            tuned=folder.tuned(),
            untuned=untuned,
            settings={
                "model": base.name,
                "folds": settings.folds,
                "labels": len(found.items),
                "prompts": found.n_prompts,
                "plan": plan.model_dump(mode="json"),
            },
            notes=found.notes,
            seed=settings.seed,
        )
        shown = is_shown(gain(results))
        agreed = resume and _was_agreed(out)
        results = _with(results, shown=shown, kept=agreed or None)
        write_json(out / "tune.json", results.model_dump(mode="json"))
        wanted = decide(results, agreed)
        results = _with(results, shown=shown, kept=wanted)
        write_json(out / "tune.json", results.model_dump(mode="json"))
        adapter = _kept(out, folder.final(), results) if wanted else None
    return Tuned(results, shown, adapter, start.base, _asks_itself(found))


def _asks_itself(labels: TuningLabels) -> bool:
    return bool(labels.labelled.part)


def _was_agreed(out: Path) -> bool:
    """Whether the user agreed before an interruption; a user who declined may be asked again."""
    try:
        found = json.loads((out / "tune.json").read_text("utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as exc:
        raise RunError(f"{out / 'tune.json'} is damaged: {exc}") from exc
    return bool(found["settings"]["kept"])


def _kept(out: Path, done: TrainingResult, results: Results) -> Path:
    folder = out / "adapter"
    if not folder.exists():
        measured = [
            CardFigure(
                f"{one.benchmark}, cross-validated", one.system, one.metric, estimate_of(one)
            )
            for one in results.figures
        ]
        card = partial(
            card_of,
            name=out.resolve().name,
            base=done.base,
            kind="adapter",
            run=done.folder.parent.parent,
            measured=measured,
        )
        copy_adapter(done.folder, folder, card=card)
    for checkpoint in done.folder.parent.glob("checkpoint-*"):
        shutil.rmtree(checkpoint, ignore_errors=True)
    return folder


def _with(results: Results, **more: Any) -> Results:
    return results.model_copy(update={"settings": {**results.settings, **more}})
