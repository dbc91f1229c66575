"""Labelled sets: where the data is, what was asked, how it is scored, and its allowed use.

One YAML file each in `sets/`, or a user's own; other packages add sets by the entry-point group
`glider.sets`. The data itself is never shipped: it is looked for in a folder. The same sets are
measured on (`glider bench`) and trained on (`glider train`), so both see one criterion text.
"""

import random
import shlex
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from glider.core.base import Frozen
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
    },
)


class Question(Frozen):
    """What is asked of one part of a set, where its records do not say it well themselves."""

    question: str
    levels: Rubric
    title: str = ""


class LabelledSet(Frozen):
    """A data set that people judged, and how a judge is measured on it."""

    name: str
    title: str
    data: str
    """File (or, for a hub data set, folder) name inside the data folder; `folder::split`."""
    hub: str = ""
    """Hugging Face data set it can be fetched from: `owner/name`."""
    files: tuple[str, ...] = ()
    """Patterns of the files of a hub data set that are fetched and read; all if not given."""
    collection: str = ""
    """A name by which several sets are asked for together, such as `field`."""
    left_out: tuple[str, ...] = ()
    """Subsets that are not measured, since they are scored in another way."""
    reader: str = "judgements"
    """How its file is read: `judgements` is the name that 0.1 gave to Glider's own records."""
    kind: Kind
    family: str
    """What is judged: short answers, summaries, translation, pairs, ..."""
    languages: tuple[str, ...] = ("en",)
    labels_by: str
    licence: str
    use: Use
    """`train`: may be trained on; `licence`: its licence forbids it; `unseen`: kept out of
    training altogether, to see what a judge does on tasks that are new to it."""
    hidden: tuple[Literal["input", "context", "reference"], ...] = ()
    """Fields the records have and the judge must not see, such as a reference that tells."""
    cluster: str = "input"
    """Column (or path) that items of one prompt or document share; `input and context`: as the
    rows of a run do; empty: each item its own."""
    part: str = "criterion.name"
    """Column (or path) by which figures are split; empty: the set is one part."""
    group: str = ""
    """Column (or path) of named subsets, shown besides; empty: it has none."""
    groups: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Name of a subset to the values of `group` that are of it (`mmlu-pro-*`), where the field
    reports coarser subsets than the records tell. Other values are their own names."""
    metrics: tuple[str, ...]
    """Names of `glider.bench.metrics`, the field's own first. It goes into means over sets, so
    chance must be the same for all: pairs never begin with `accuracy_both`, of which a rule that
    sees no order gets a half by chance and a judge a quarter."""
    questions: Mapping[str, Question] = Field(default_factory=dict)
    """Part to question and rubric; `*` stands for every part not named."""
    note: str = ""

    def asked(self, part: str) -> Criterion | None:
        """What the set asks of a part; None where its records bring their own criterion."""
        asked = self.questions.get(part, self.questions.get("*"))
        if asked is None:
            return None
        return Criterion(name=part, title=asked.title, question=asked.question, rubric=asked.levels)

    def subset(self, value: str) -> str:
        """The name of the subset that a value of `group` is of."""
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
        """The set's items in the file's order, or a seeded sample that favours no part.

        The notes are about all records, drawn or not.

        Args:
            clusters: only items of these; the sample is drawn of them.

        Raises:
            DataError: the data is not there, cannot be read, or holds no labelled record.
            SetupError: a limit below 1.
        """
        name = self.data.partition("::")[0]
        if not (folder / name).exists():
            hint = f"the data folder has no {name}"
            if self.hub:
                hint += (
                    f"; fetch it there with: hf download {self.hub} --repo-type dataset "
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
        """The items of `load`, without the notes."""
        return self.load(folder, limit=limit, seed=seed).items


def drawn(items: list[Item], limit: int, *, seed: str) -> list[Item]:
    """At most `limit` items, the same for the same seed; parts get equal shares while they last.

    With the same seed, the items of a smaller limit are among those of a larger one.
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
    """Names of the sets that come with Glider, sorted."""
    entries = files("glider").joinpath("gold", "sets").iterdir()
    return sorted(e.name.removesuffix(".yaml") for e in entries if e.name.endswith(".yaml"))


_FOREIGN: Registry[LabelledSet] = Registry(kind="labelled set", group="glider.sets", builtin={})


def known() -> list[str]:
    """Every set there is a name for, sorted."""
    return sorted({*shipped(), *_FOREIGN.names()})


def own_name(path: Path) -> str:
    """What a person's own file is called as a set: never as one there is a name for already."""
    stem = path.name.split(".")[0]
    return f"own-{stem}" if stem in known() else stem


def load_set(name_or_path: str) -> LabelledSet:
    """A set by name, or from a user's YAML file.

    Raises:
        UnknownName: with near names.
        SetupError: the file is no set; says file and key.
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
        first = exc.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise SetupError(f"{path}: {where}: {first['msg']}") from exc
