"""Resolve set names: a name, a kind, a family, a YAML file, or your own labels.

A file of labelled records or a reviewed run is a set of its own; its criterion comes from the
records or from the caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from glider.core.criteria import Criterion
from glider.core.errors import UnknownName
from glider.gold.own import own_set
from glider.gold.sets import Kind, LabelledSet, known, load_set
from glider.gold.source import is_labels


@dataclass(frozen=True, slots=True)
class Chosen:
    """A set and the folder of its data."""

    labelled: LabelledSet
    folder: Path | None

    @property
    def is_there(self) -> bool:
        """Whether its data is in the folder."""
        name = self.labelled.data.partition("::")[0]
        return self.folder is not None and (self.folder / name).exists()


def choose(
    words: Sequence[str],
    folder: Path | None,
    *,
    criterion: Criterion | None = None,
    cluster: str | None = None,
) -> list[Chosen]:
    """Return the sets named by `words`, each once, in that order.

    Args:
        words: `all`; a kind (`pairs`); a family (`summaries`); a collection (`field`); names; YAML
            files; data files; reviewed runs.
        folder: where the data of all but a person's own files lies.
        criterion: what is asked of records in a person's own file.
        cluster: column that records of a person's own file share; see `own_set`.

    Raises:
        UnknownName: with near names.
        SetupError: a file that is no set.
        DataError: a data file that cannot be read.
    """
    found: dict[str, Chosen] = {}
    for word in words:
        for chosen in _meant(word, folder, criterion, cluster):
            found.setdefault(chosen.labelled.name, chosen)
    return list(found.values())


def _meant(
    word: str, folder: Path | None, criterion: Criterion | None, cluster: str | None
) -> list[Chosen]:
    path = Path(word)
    if word not in known() and is_labels(path):
        return [Chosen(own_set(path, criterion, cluster=cluster), path.parent)]
    if word in known() or word.endswith((".yaml", ".yml")):
        return [Chosen(load_set(word), folder)]
    every = [load_set(name) for name in known()]
    wanted = word.casefold().replace("-", " ")
    by_word = [
        labelled
        for labelled in every
        if wanted
        in ("all", labelled.kind, labelled.family.casefold().replace("-", " "), labelled.collection)
    ]
    if not by_word:
        families = {labelled.family for labelled in every} | {"field"}
        raise UnknownName(
            "labelled set", word, [*known(), *families, *get_args(Kind), "all"],
            hint="`glider bench --list` shows them; a file of your own ends in .jsonl, .csv, ...; "
            "a reviewed run is a folder",
        )  # fmt: skip
    return [Chosen(labelled, folder) for labelled in by_word]
