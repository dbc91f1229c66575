"""Labelled sets: where the data is, its criteria, how it is scored, and its permitted use.

Each set is a YAML file in `sets/` or a user's own file; other packages add sets through the
entry-point group `glider.sets`. The data is not shipped, but read from a folder. `glider bench` and
`glider train` use the same sets, so both use the same criterion text.
"""

import random
import shlex
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from glider.core.base import Frozen, first_problem
from glider.core.criteria import Criterion, Rubric
from glider.core.errors import DataError, RubricError, SetupError, UnknownName
from glider.core.plugins import Registry
from glider.data.yaml_files import mapping, read_text
from glider.gold.items import OWN as OWN
from glider.gold.items import Item, LoadedSet, oddities

Kind = Literal["graded", "classes", "pairs"]
Use = Literal["train", "unseen", "licence"]

READERS: Registry[Callable[["LabelledSet", Path], LoadedSet]] = Registry(
    kind="reader of labelled data",
    group="glider.readers",
    builtin={
        "judgements": "glider.gold.records:read",
        "glider-suite": "glider.gold.suite:read",
        "prometheus": "glider.gold.foreign:read_prometheus",
        "ultrafeedback": "glider.gold.foreign:read_ultrafeedback",
        "helpsteer": "glider.gold.foreign:read_helpsteer",
        "preferences": "glider.gold.field:read_preferences",
        "judgebench": "glider.gold.field:read_judgebench",
        "aggrefact": "glider.gold.field:read_aggrefact",
        "halubench": "glider.gold.field:read_halubench",
        "hhh": "glider.gold.field:read_hhh",
        "alpacafarm": "glider.gold.field:read_alpacafarm",
        "summary-axes": "glider.gold.field:read_summary_axes",
    },
)


class Question(Frozen):
    """The criterion for one part of a set, if its records do not define it well themselves."""

    question: str
    levels: Rubric
    title: str = ""


class LabelledSet(Frozen):
    """A data set with human judgments, and how to evaluate a judge on it."""

    name: str
    title: str
    data: str
    """Name of a file (or, for a hub data set, folder or `folder::split`) in the data folder."""
    hub: str = ""
    """Hugging Face data set to fetch it from: `owner/name`."""
    revision: str = ""
    """Branch of the hub data set; default: its main one."""
    files: tuple[str, ...] = ()
    """Patterns of the files to fetch and read from a hub data set; default: all."""
    collection: str = ""
    """A name that selects several sets together, such as `field`."""
    left_out: tuple[str, ...] = ()
    """Subsets to exclude, because they are scored differently."""
    reader: str = "judgements"
    """Reader of the file; `judgements` is the name that 0.1 gave to Glider's own records."""
    kind: Kind
    family: str
    """Type of the judged texts: short answers, summaries, translation, pairs, ..."""
    languages: tuple[str, ...] = ("en",)
    labels_by: str
    licence: str
    use: Use
    """`train`: may be trained on; `licence`: its licence forbids training; `unseen`: held out of
    training entirely, to evaluate generalization to new tasks."""
    hidden: tuple[Literal["input", "context", "reference"], ...] = ()
    """Fields to hide from the judge, such as a reference that reveals the label."""
    cluster: str = "input"
    """Column (or path) with the same value for all items of one prompt or document;
    `input and context`: cluster like the rows of a run; empty: every item is its own cluster."""
    part: str = "criterion.name"
    """Column (or path) that metrics are split by; empty: the set is one part."""
    group: str = ""
    """Column (or path) of named subsets, reported in addition; empty: there are none."""
    groups: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Subset name to the values of `group` in it (`mmlu-pro-*`), if the field reports coarser
    subsets than the records have. Other values are subset names themselves."""
    metrics: tuple[str, ...]
    """Names from `glider.bench.metrics`, the field's standard metric first. The first metric enters
    means over sets, so its chance level must be the same for all systems. Pairs therefore never
    start with `accuracy_both`, where chance is 1/2 for an order-blind rule and 1/4 for a judge."""
    questions: Mapping[str, Question] = Field(default_factory=dict)
    """Part to question and rubric; `*` matches every part not listed."""
    note: str = ""

    def asked(self, part: str) -> Criterion | None:
        """Return the set's criterion for a part; None if its records have their own."""
        asked = self.questions.get(part, self.questions.get("*"))
        if asked is None:
            return None
        return Criterion(name=part, title=asked.title, question=asked.question, rubric=asked.levels)

    def subset(self, value: str) -> str:
        """Return the name of the subset for a value of `group`."""
        for name, patterns in self.groups.items():
            if any(fnmatchcase(value, pattern) for pattern in patterns):
                return name
        return value

    def load(
        self,
        folder: Path,
        *,
        limit: int | None = None,
        seed: int = 0,
        clusters: Collection[str] | None = None,
    ) -> LoadedSet:
        """Load the set's items in file order, or a seeded sample balanced over parts.

        The notes cover all records, sampled or not.

        Args:
            clusters: load and sample only items of these clusters.

        Raises:
            DataError: the data is missing, unreadable, or has no labelled record.
            SetupError: `limit` is below 1.
        """
        name = self.data.partition("::")[0]
        if not (folder / name).exists():
            hint = f"the data folder has no {name}"
            if self.hub:
                branch = f"--revision {shlex.quote(self.revision)} " if self.revision else ""
                hint += (
                    f"; fetch it there with: hf download {self.hub} --repo-type dataset {branch}"
                    f"--local-dir {shlex.quote(str(folder / name))}"
                )
            raise DataError(f"set {self.name!r}: its data is not there", hint=hint)
        loaded = READERS.get(self.reader)(self, folder / self.data)
        if not loaded.items:
            raise DataError(
                f"set {self.name!r}: no record has both texts and a label",
                hint="; ".join(loaded.notes),
            )
        notes = loaded.notes + oddities(loaded.items)
        items = loaded.items
        if clusters is not None:
            items = [item for item in items if item.cluster in clusters]
            if not items:
                raise DataError(
                    f"set {self.name!r}: none of its items is among those that were held out",
                    hint="was the data another one when it was divided?",
                )
        if limit is None:
            return LoadedSet(items, notes)
        return LoadedSet(drawn(items, limit, seed=f"{seed}:{self.name}"), notes)

    def items(self, folder: Path, *, limit: int | None = None, seed: int = 0) -> list[Item]:
        """Return the items of `load`, without the notes."""
        return self.load(folder, limit=limit, seed=seed).items


def drawn(items: list[Item], limit: int, *, seed: str) -> list[Item]:
    """Sample at most `limit` items reproducibly, with equal shares per part where possible.

    With the same seed, a smaller sample is a subset of a larger one.
    """
    if limit < 1:
        raise SetupError(f"a limit of {limit} leaves no items", hint="use 1 or more")
    if len(items) <= limit:
        return items
    rng = random.Random(seed)
    heaps: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        heaps.setdefault(item.part, []).append(number)
    for heap in heaps.values():
        rng.shuffle(heap)
    chosen: list[int] = []
    while len(chosen) < limit:
        for heap in heaps.values():
            if heap and len(chosen) < limit:
                chosen.append(heap.pop())
    return [items[number] for number in sorted(chosen)]


def shipped() -> list[str]:
    """Return the names of the sets shipped with Glider, sorted."""
    entries = files("glider").joinpath("gold", "sets").iterdir()
    return sorted(e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml"))


_FOREIGN: Registry[LabelledSet] = Registry(kind="labelled set", group="glider.sets", builtin={})


def known() -> list[str]:
    """Return the names of all known sets, sorted."""
    return sorted({*shipped(), *_FOREIGN.names()})


def own_name(path: Path) -> str:
    """Name the set of a user's own file or run, avoiding the names of known sets."""
    stem = path.absolute().name.split(".")[0]
    return f"own-{stem}" if stem in known() else stem


def load_set(name_or_path: str) -> LabelledSet:
    """Load a set by name, or from a user's YAML file.

    Raises:
        UnknownName: there is no such set; suggests similar names.
        SetupError: the file does not define a set; names file and key.
    """
    if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
        path = Path(name_or_path)
        return _parsed(read_text(path), str(path))
    if name_or_path in shipped():
        entry = files("glider").joinpath("gold", "sets", f"{name_or_path}.yaml")
        return _parsed(entry.read_text("utf-8"), f"{name_or_path}.yaml")
    if name_or_path not in _FOREIGN.names():
        raise UnknownName("labelled set", name_or_path, known())
    return _FOREIGN.get(name_or_path)


def _parsed(text: str, path: str) -> LabelledSet:
    try:
        return LabelledSet.model_validate(mapping(text, path))
    except RubricError as exc:
        raise RubricError(f"{path}: {exc.message}", hint=exc.hint) from exc
    except ValidationError as exc:
        raise SetupError(f"{path}: {first_problem(exc)}") from exc
