"""Turn the user's own pairs of answers into files for a preference stage and an SFT stage.

A record has `prompt`, `chosen` and `rejected`, as in GLIDER and TRL. A prompt is a text or a list
of messages; an answer is a text or a list of one message. Prompts are used verbatim, so they must
be in exactly the format that will be served. As in GLIDER's training, the SFT stage learns the
chosen answers, and the preference stage learns to prefer them to the rejected ones.

All pairs with the same prompt are in the same split. A finished prompt does not reveal which texts
it was rendered from, so it cannot be compared with benchmarks.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from random import Random
from typing import Any

from glider.core.base import content_hash
from glider.core.errors import EmptySplit
from glider.corpus.examples import Example, Preference, Turn, write_lines
from glider.corpus.from_items import Unusable
from glider.corpus.mixture import Mixture, format_for
from glider.data.rows import BadRow, open_rows
from glider.models.fetch import sha256_of
from glider.store.atomic import new_folder, refuse_filled, write_json, write_whole

_KEYS = ("prompt", "chosen", "rejected")
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class OwnPreferences:
    """The preferences and examples from one file."""

    name: str
    preferences: Mapping[str, list[Preference]]
    """Preferences by split, `train` and `dev`."""
    examples: Mapping[str, list[Example]]
    """Examples of the chosen answers by split; each answer to a prompt occurs once."""
    records: int
    left_out: Mapping[str, int]
    """Number of records left out, by reason."""


@dataclass(frozen=True, slots=True)
class MadePreferences:
    """A folder of pairs."""

    folder: Path
    manifest: Mapping[str, Any]
    """The contents, as in its manifest.json."""
    left_out: Mapping[str, int]
    """Number of records left out, by reason."""


def own_preferences(path: Path, *, dev: float, seed: int) -> OwnPreferences:
    """Read a file of pairs and split off its development part.

    Args:
        dev: share of the prompts held out for development.

    Raises:
        DataError: the file is missing or unreadable.
        EmptySplit: no record is a pair, or a split has no pairs left.
    """
    name = path.name.split(".")[0]
    left_out: Counter[str] = Counter()
    found: dict[str, Preference] = {}
    records = 0
    for row in open_rows(path):
        records += 1
        try:
            if isinstance(row, BadRow):
                raise Unusable("cannot be read")
            pair = _preference(name, row.data)
            if pair.id in found:
                raise Unusable("the same pair again")
            found[pair.id] = pair
        except Unusable as exc:
            left_out[str(exc)] += 1
    if not found:
        why = "; ".join(f"{why}: {n}" for why, n in left_out.most_common())
        raise EmptySplit(
            "train", why, hint="a record has `prompt`, `chosen` and `rejected` (docs/training.md)"
        )
    prompts = sorted({pair.cluster for pair in found.values()})
    Random(f"{seed}:split").shuffle(prompts)
    for_dev = set(prompts[: ceil(dev * len(prompts))])
    preferences = {
        "train": [pair for pair in found.values() if pair.cluster not in for_dev],
        "dev": [pair for pair in found.values() if pair.cluster in for_dev],
    }
    if not preferences["train"]:
        raise EmptySplit("train", "its prompts are all for development", hint="a smaller --dev")
    examples = {split: _examples(pairs) for split, pairs in preferences.items()}
    return OwnPreferences(name, preferences, examples, records, dict(left_out))


def _preference(name: str, data: Mapping[str, Any]) -> Preference:
    prompt, chosen, rejected = (data.get(key) for key in _KEYS)
    turns = _turns(prompt, "user")
    if not turns or turns[-1].role != "user":
        raise Unusable("no prompt that ends with the user's message")
    answers = []
    for key, value in (("chosen", chosen), ("rejected", rejected)):
        answer = _turns(value, "assistant")
        if len(answer) != 1 or answer[0].role != "assistant":
            raise Unusable(f"no answer in `{key}`")
        answers.append(answer[0].content)
    if answers[0] == answers[1]:
        raise Unusable("the same answer twice")
    cluster = content_hash([turn.model_dump() for turn in turns])
    return Preference(
        id=content_hash([name, cluster, *answers]),
        set=name,
        part="",
        cluster=cluster,
        lang="not told",
        licence="not told",
        criterion="not told",
        messages=turns,
        score=None,
        chosen=answers[0],
        rejected=answers[1],
    )


def _turns(value: Any, role: str) -> tuple[Turn, ...]:
    """Read messages, or wrap a plain text in one; empty if the value is neither."""
    if isinstance(value, str):
        return (Turn(role=role, content=value),) if value.strip() else ()  # type: ignore[arg-type]
    if not isinstance(value, Sequence):
        return ()
    turns = []
    for message in value:
        match message:
            case {"role": str() as who, "content": str() as text} if who in _ROLES and text.strip():
                turns.append(Turn(role=who, content=text))  # type: ignore[arg-type]
            case _:
                return ()
    return tuple(turns)


def _examples(pairs: Iterable[Preference]) -> list[Example]:
    chosen = {(pair.cluster, pair.chosen): pair for pair in pairs}
    return [
        Example(
            **pair.model_dump(exclude={"chosen", "rejected"}), completion=pair.chosen, whole=True
        )
        for pair in chosen.values()
    ]


def make_preferences(
    path: Path,
    out: Path,
    *,
    format: str | None = None,
    order: str | None = None,
    dev: float = 0.1,
    seed: int = 0,
) -> MadePreferences:
    """Convert a file of pairs to the folder `out`, written atomically.

    Args:
        format: format of the prompts, recorded with the judges trained on them; nano if only its
            `order` is given.
        dev: share of the prompts held out for development.

    Raises:
        DataError: the file is missing or unreadable.
        EmptySplit: no record is a pair, or a split has no pairs left.
        UnknownName, SetupError: there is no such format, or it has no order.
        RunError: the folder is not empty, or the disk is full or not writable.
    """
    refuse_filled(out)
    given = {"format": format or (order and "nano"), "order": order}
    asked = {key: value for key, value in given.items() if value is not None}
    format_for(Mixture.model_validate(asked))
    made = own_preferences(path, dev=dev, seed=seed)
    counts = {}
    with new_folder(out) as new:
        for split, pairs in made.preferences.items():
            if pairs:
                write_lines(new / f"preferences-{split}.jsonl.gz", pairs)
                write_lines(new / f"{split}.jsonl.gz", made.examples[split])
            counts[split] = {"pairs": len(pairs), "examples": len(made.examples[split])}
        manifest = {
            "version": 1,
            "settings": {**asked, "dev": dev, "seed": seed},
            "files": {file.name: sha256_of(file) for file in sorted(new.iterdir())},
            **counts,
            "records": made.records,
            "left_out": dict(made.left_out),
        }
        write_whole(new / "card.md", _card(manifest))
        write_json(new / "manifest.json", manifest)
    return MadePreferences(out, manifest, made.left_out)


def _card(manifest: Mapping[str, Any]) -> str:
    train, dev = manifest["train"], manifest["dev"]
    format = manifest["settings"].get("format", "not given")
    lines = [
        "# Pairs of answers",
        "",
        f"Of {manifest['records']} records; format: {format}; licence: not given. No prompt is in "
        "both splits. Compared with no benchmark: a finished prompt does not tell its texts.",
        "",
        "| | train | dev |",
        "|---|---|---|",
        f"| pairs | {train['pairs']} | {dev['pairs']} |",
        f"| chosen answers | {train['examples']} | {dev['examples']} |",
        "",
        "| left out | records |",
        "|---|---|",
        *[f"| {why} | {n} |" for why, n in manifest["left_out"].items()],
    ]
    return "\n".join(lines) + "\n"
