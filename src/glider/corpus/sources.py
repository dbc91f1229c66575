"""Find the sets of a mixture and the benchmarks to check against; load own files as sets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glider.core.errors import SetupError
from glider.corpus.mixture import Mixture, SetShare
from glider.gold.own import own_labels
from glider.gold.sets import LabelledSet, known, load_set
from glider.gold.source import is_labels


@dataclass(frozen=True, slots=True)
class Source:
    """A set and the folder with its data."""

    labelled: LabelledSet
    folder: Path
    own: bool = False
    """Whether it is the user's own file, which needs no permission."""


def sources(settings: Mixture, folder: Path | None, own: Sequence[Source] = ()) -> list[Source]:
    """Return the sets to train on.

    Args:
        folder: folder with the data of all sets except the user's own files.
        own: the user's own files as sets.

    Raises:
        SetupError: a set may not be trained on, or there is no set.
        UnknownName: there is no such set; suggests similar names.
    """
    named = {source.labelled.name for source in own}
    wanted = [name for name in settings.sets if name not in named]
    if not settings.sets and not own:
        wanted = [name for name in known() if load_set(name).use == "train"]
    chosen: list[Source] = list(own)
    for kind, derived in settings.derived:
        strange = [name for name in derived.sets if name not in settings.sets] if derived else []
        if settings.sets and strange:
            raise SetupError(
                f"derived: {kind} names {strange[0]!r}, which is not among the sets",
                hint="name the set under `sets` too; cap or weight say how much of it is taken",
            )
    for name in wanted:
        labelled = load_set(name)
        if labelled.name in settings.leave_out and name not in settings.sets:
            continue
        if labelled.use != "train" and labelled.name not in settings.allow:
            why = (
                "is kept out of training, to see what a judge does on tasks that are new to it"
                if labelled.use == "unseen"
                else f"may not be trained on under its licence: {labelled.licence}"
            )
            raise SetupError(
                f"set {labelled.name!r} {why}",
                hint=f"--allow {labelled.name} takes it on your own word, for your own use",
            )
        if folder is None:
            raise SetupError("no data folder", hint="--data FOLDER or $GLIDER_DATA names it")
        chosen.append(Source(labelled, folder))
    if not chosen:
        raise SetupError("no set to train on", hint="`glider bench --list` shows the sets")
    return chosen


def benchmarks(chosen: Sequence[Source], folder: Path | None) -> list[Source]:
    """Return every set that has data and is not trained on."""
    taken = {source.labelled.name for source in chosen if not source.own}
    found = []
    for name in known():
        labelled = load_set(name)
        here = folder is not None and (folder / labelled.data.partition("::")[0]).exists()
        if here and folder is not None and labelled.name not in taken:
            found.append(Source(labelled, folder))
    return found


def own_sources(
    words: Sequence[str],
    settings: Mixture,
    *,
    beside: Path | None = None,
    preset: str | None = None,
    criterion: str | None = None,
) -> tuple[list[Source], dict[str, SetShare]]:
    """Load the user's own files as sets; return them with all sets of the mixture by name.

    Args:
        words: sets, files and reviewed runs; default: those in the settings.
        beside: folder that relative file names in the settings refer to.
        preset: column preset of own files; detected from column names by default.
        criterion: criterion of own labels whose records have none.

    Raises:
        DataError: an own file is missing, unreadable or without records.
        SetupError: two files have the same name, or labels have no criterion.
        UnknownName: there is no such preset or criterion.
    """
    own: list[Source] = []
    named: dict[str, SetShare] = {}
    shares = (
        {word: settings.sets.get(word, SetShare()) for word in words} if words else settings.sets
    )
    for word, share in shares.items():
        path = Path(word)
        if beside is not None and word in settings.sets and not path.is_absolute():
            path = beside / path
        if word in known() or not is_labels(path):
            named[word] = share
            continue
        labelled = own_labels(path, preset=preset, criterion=criterion)
        if labelled.name in named:
            raise SetupError(f"two sets are called {labelled.name!r}", hint="rename one file")
        named[labelled.name] = share
        own.append(Source(labelled, path.parent, own=True))
    return own, named
