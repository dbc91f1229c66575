"""Training records and their files: gzipped JSON Lines, versioned.

An `Example` has a prompt and the target answer, a `Preference` has a prompt and two answers, and an
`ExampleTask` has the parts an example's prompt was rendered from.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import ValidationError, model_validator

from glider.core.base import Frozen, first_problem
from glider.core.criteria import Criterion
from glider.core.errors import DataError, UnknownSchemaVersion
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.store.atomic import replacing

EXAMPLE_VERSION = 1


class Turn(Frozen):
    """One message of the prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class Prompted(Frozen):
    """A prompt and its source."""

    version: int = EXAMPLE_VERSION
    id: str
    set: str
    part: str
    cluster: str
    lang: str
    licence: str
    criterion: str
    """Content id of the criterion."""
    messages: tuple[Turn, ...]
    opening: str = ""
    """Given start of the answer, excluded from the loss."""
    labels: tuple[str, ...] | None = None
    """The rubric's levels in order, as written in the answer."""
    after: str = ""
    """The literal text directly before the label, in the opening or in the answer."""
    weight: float = 1.0
    score: int | None
    """The gold level; None in the user's own pairs, which have none."""


class Example(Prompted):
    """A prompt and the target answer."""

    completion: str
    """The answer after the opening."""
    whole: bool
    """Whether the answer ends here, so that the end of the turn is trained too. False for a bare
    score (or score and quotes alone), after which an answer may continue."""
    soft: tuple[float, ...] | None = None
    """Probability of each of `labels`; None if `score` has all of it."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.soft is not None and (
            self.labels is None
            or len(self.soft) != len(self.labels)
            or min(self.soft) < 0
            or abs(sum(self.soft) - 1) > 1e-4
        ):
            raise ValueError("`soft` is a distribution over `labels`")
        return self


class Preference(Prompted):
    """A prompt with a preferred and a rejected answer."""

    chosen: str
    rejected: str


class ExampleTask(Frozen):
    """The parts of an example's prompt, so that it can be rendered in another format."""

    version: int = EXAMPLE_VERSION
    id: str
    """Id of the example."""
    sample: Sample
    criterion: Criterion

    @property
    def task(self) -> JudgeTask:
        """Return the task, which a format renders and parses."""
        return JudgeTask(self.sample, self.criterion)


T = TypeVar("T", bound=Frozen)
_NAMES: dict[type[Frozen], str] = {
    Example: "example",
    Preference: "preference",
    ExampleTask: "task of an example",
}


def required_format(data: Path) -> dict[str, str]:
    """Return `format_of` a folder, which must be one made by `glider data`.

    Raises:
        DataError: the folder was not made by `glider data`.
    """
    format = format_of(data)
    if format is None:
        raise DataError(
            "no manifest of examples",
            path=str(data / "manifest.json"),
            hint="EXAMPLES is a folder that `glider data` made",
        )
    return format


def format_of(data: Path) -> dict[str, str] | None:
    """Read from the manifest which format a folder's examples use; None if it is not recorded.

    Returns:
        `format`, plus `order`, `layout` and `reason_words` if they were set.
    """
    try:
        settings = json.loads((data / "manifest.json").read_text("utf-8"))["settings"]
        chosen = {"format": settings["format"]}
        chosen |= {key: settings.get(key) for key in ("order", "layout", "reason_words")}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return {key: str(value) for key, value in chosen.items() if value is not None}


# Files


def write_lines(path: Path, records: Iterable[Frozen]) -> int:
    """Write records as gzipped JSON Lines; equal records give equal bytes.

    Returns:
        Number of records.

    Raises:
        RunError: the disk is full or not writable; no partial file is left.
    """
    n = 0
    with (
        replacing(path) as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=6) as zipped,
    ):
        for record in records:
            plain = record.model_dump(mode="json")
            line = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
            zipped.write(line.encode("utf-8", "surrogatepass") + b"\n")
            n += 1
    return n


def read_examples(path: Path) -> Iterator[Example]:
    """Read the examples in a file.

    Raises:
        DataError: the file is missing, damaged or does not hold examples; names file and line.
        UnknownSchemaVersion: written by a newer Glider.
    """
    for line, data in _lines(path):
        yield _parsed(Example, data, path, line)


def read_preferences(path: Path) -> Iterator[Preference]:
    """Read the preferences in a file.

    Raises:
        DataError, UnknownSchemaVersion: as `read_examples`.
    """
    for line, data in _lines(path):
        yield _parsed(Preference, data, path, line)


def read_tasks(path: Path) -> Iterator[ExampleTask]:
    """Read the tasks of the examples.

    Raises:
        DataError, UnknownSchemaVersion: as `read_examples`.
    """
    for line, data in _lines(path):
        yield _parsed(ExampleTask, data, path, line)


def hash_of(folder: Path) -> str:
    """Compute SHA-256 over names and contents of a folder's example and task files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.jsonl.gz")):
        with path.open("rb") as file:
            digest.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _lines(path: Path) -> Iterator[tuple[int, object]]:
    number = 0
    try:
        with gzip.open(path, "rb") as file:
            for line in file:
                number += 1
                yield number, json.loads(line)
    except OSError as exc:
        raise DataError(f"cannot be read: {exc.strerror or exc}", path=str(path)) from exc
    except EOFError as exc:
        raise DataError("is cut off", path=str(path), line=number + 1) from exc
    except zlib.error as exc:
        raise DataError(f"is damaged: {exc}", path=str(path), line=number + 1) from exc
    except ValueError as exc:
        raise DataError("not JSON", path=str(path), line=number) from exc


def _parsed(kind: type[T], data: object, path: Path, line: int) -> T:
    version = data.get("version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > EXAMPLE_VERSION:
        raise UnknownSchemaVersion(
            f"example version {version}; this Glider reads {EXAMPLE_VERSION}",
            path=str(path),
            line=line,
        )
    try:
        return kind.model_validate(data)
    except ValidationError as exc:
        said = f"no {_NAMES[kind]}: {first_problem(exc)}"
        raise DataError(said, path=str(path), line=line) from exc
