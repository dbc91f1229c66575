"""A run folder, with an append-only journal.

    manifest.json    what made the run; written once
    criteria.json    the criteria, as asked, but for those that rows bring
    samples.jsonl    {"row", "id", "fields", "metadata"}: each row's texts, once; where rows bring
                     their own criteria also "criterion": the criterion, or its content id where
                     an earlier row had the same
    journal.jsonl    {"row", "outcome"}: one line per outcome, as it is ready
    shards/          further journals, one for each other process that judged (`store.shards`)
    summary.json     figures over the journal; can be made anew at any time
    report.html      made by `glider report`
    planted.json     where the texts have faults that were planted: which, and where

Every line is written whole, in one call, before the next outcome is taken: a process killed at any
moment leaves at most one broken last line, which opening the run again cuts off and judges anew.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from glider.core.criteria import Criterion
from glider.core.errors import DataError, GliderError, RunError, UnknownSchemaVersion
from glider.core.judgments import SCHEMA_VERSION, Comparison, Failure, Judgment, outcome_from
from glider.core.samples import Sample
from glider.store.atomic import replacing, write_json
from glider.store.folder import lock_folder
from glider.store.journal import append_only, cut_broken_tail
from glider.store.manifest import Manifest, read_manifest
from glider.store.shards import Marks, append_line, journals, key_of, take_over

_WAIT_S = 5.0
"""How long an earlier session's processes are left to end by themselves."""


class RunFolder:
    """An open run: knows what is done, and records what comes."""

    def __init__(
        self, path: Path, manifest: Manifest, held: int, *, retry_failures: bool = False
    ) -> None:
        """Use `create` or `resume`."""
        self.path, self.manifest = path, manifest
        self._done = Marks()
        self.n_doubled = 0
        """Outcomes of tasks that had one already; they do not count."""
        self._last_sample = -1
        self._held = held
        self._samples = self._journal = -1
        try:
            for name in ("samples.jsonl", "journal.jsonl"):
                cut_broken_tail(path / name)
            take_over(journals(path)[1:], _WAIT_S)
            for journal in journals(path):
                if retry_failures:
                    _forget_retryable(journal)
                for number, row, outcome in _lines(journal):
                    with _damage(journal, number):
                        self.mark(row, outcome)
            self._known: set[str] = set()
            for number, row, data in _lines(path / "samples.jsonl", body=None):
                self._last_sample = row
                if isinstance(own := data.get("criterion"), dict):
                    with _damage(path / "samples.jsonl", number):
                        self._known.add(Criterion.model_validate(own).content_id)
            self._samples = append_only(path / "samples.jsonl")
            self._journal = append_only(path / "journal.jsonl")
        except BaseException as exc:
            self.close()
            if isinstance(exc, OSError):
                raise RunError(f"cannot write {path}: {exc.strerror or exc}") from exc
            raise

    @classmethod
    def create(cls, path: Path, manifest: Manifest, criteria: Sequence[Criterion]) -> Self:
        """Start a run in a new or empty folder.

        Raises:
            RunError: the folder holds something, or cannot be written.
        """
        # A folder whose making was cut short holds no outcome yet, and can be made anew.
        first = {"criteria.json": [c.model_dump(mode="json") for c in criteria]}
        return cls(path, manifest, lock_folder(path, manifest, resume=False, first=first))

    @classmethod
    def resume(cls, path: Path, manifest: Manifest, *, retry_failures: bool = False) -> Self:
        """Go on with a run.

        Args:
            manifest: what the continuation would be; it must agree with the run's own.
            retry_failures: forget failures that a retry may mend, so that they are judged anew.

        Raises:
            ManifestMismatch: what differs, key by key.
            RunError: there is no run, it is in use, or standard input was its input.
        """
        before = load_manifest(path)
        if before.input_sha256 is None:
            raise RunError("a run over standard input cannot be resumed")
        held = lock_folder(path, manifest, resume=True)
        return cls(path, before, held, retry_failures=retry_failures)

    def is_done(self, row: int, criterion: str, first: str = "", second: str = "") -> bool:
        """There is an outcome for this row under this criterion (and pair)."""
        return (row, (criterion, first, second)) in self._done

    def record_sample(self, row: int, sample: Sample, criterion: Criterion | None = None) -> None:
        """Keep a row's texts, once; rows come in rising order.

        Args:
            criterion: the row's own, where rows bring one.
        """
        if row > self._last_sample:
            body = {
                "row": row,
                "id": sample.id,
                "fields": [field.model_dump() for field in sample.fields],
                "metadata": sample.metadata,
            }
            if criterion is not None:
                known = criterion.content_id in self._known
                body["criterion"] = (
                    criterion.content_id if known else criterion.model_dump(mode="json")
                )
            append_line(self._samples, body, self.path)
            self._last_sample = row
            if criterion is not None:
                self._known.add(criterion.content_id)

    def record(self, row: int, outcome: Judgment | Failure | Comparison) -> None:
        """Write one outcome. When this returns, a killed process keeps it.

        Raises:
            RunError: the disk is full or gone; what was written before is safe.
        """
        body = outcome.model_dump(mode="json")
        append_line(self._journal, {"row": row, "outcome": body}, self.path)
        self.mark(row, body)

    def mark(self, row: int, outcome: dict[str, Any]) -> bool:
        """Note an outcome that is on disk, as plain data; False if its task had one already."""
        new = self._done.add(row, key_of(outcome))
        self.n_doubled += not new
        return new

    @property
    def n_done(self) -> int:
        """Number of outcomes."""
        return self._done.n

    def close(self) -> None:
        """Put everything on disk; safe to call twice."""
        for file in (self._samples, self._journal):
            if file >= 0:
                os.fsync(file)
                os.close(file)
        self._samples = self._journal = -1
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def load_manifest(path: Path) -> Manifest:
    """The manifest of the run in `path`.

    Raises:
        RunError: there is no run there.
    """
    return read_manifest(path, Manifest, "run")


def load_criteria(path: Path) -> list[Criterion]:
    """The criteria of the run in `path`, as they were asked, each content once."""
    return AskedCriteria(path).criteria


def _own_criteria(path: Path) -> Iterator[tuple[int, Criterion]]:
    """The criteria that rows brought."""
    known: dict[str, Criterion] = {}
    for number, row, data in _lines(path / "samples.jsonl", body=None):
        own = data.get("criterion")
        if isinstance(own, dict):
            with _damage(path / "samples.jsonl", number):
                criterion = Criterion.model_validate(own)
            own = criterion.content_id
            known[own] = criterion
        if own in known:
            yield row, known[own]


class AskedCriteria:
    """Which criterion each row of a run was asked under: a name may stand for several."""

    def __init__(self, path: Path) -> None:
        """Read the criteria that were asked, and which of them each row brought.

        Raises:
            RunError: there is no run there, or its criteria are damaged.
            DataError: a line of its samples is damaged.
        """
        file = path / "criteria.json"
        try:
            asked = [Criterion.model_validate(item) for item in json.loads(file.read_bytes())]
        except OSError as exc:
            raise RunError(f"cannot read {file}: {exc.strerror or exc}") from exc
        except (ValueError, TypeError, GliderError) as exc:  # pydantic's error is a ValueError
            raise RunError(f"{file} is damaged") from exc
        self._path, self._own, self._asked = path, dict(_own_criteria(path)), asked
        self.criteria = list({c.content_id: c for c in (*asked, *self._own.values())}.values())
        self._by_name: dict[str, list[Criterion]] = {}
        for criterion in self.criteria:
            self._by_name.setdefault(criterion.name, []).append(criterion)

    @cached_property
    def _only_first(self) -> bool:
        """Glider 0.1 kept the first criterion of each name, and not which row it came with."""
        return not self._own and set(load_manifest(self._path).criteria) == {"(record)"}

    def at(self, row: int) -> list[Criterion]:
        """The criteria of a row: its own, or those that every row was to be asked under."""
        return [self._own[row]] if row in self._own else self._asked

    def of(self, row: int, outcome: Judgment | Failure | Comparison) -> Criterion | None:
        """The criterion behind an outcome; None where the run does not tell."""
        own = self._own.get(row)
        if own is not None and own.name == outcome.criterion:
            return own
        named = self._by_name.get(outcome.criterion, [])
        if len(named) != 1:
            return None
        if isinstance(outcome, Judgment) and self._only_first:
            rubric = named[0].rubric
            if outcome.score not in rubric.levels or (
                abs(rubric.normalize(outcome.score) - outcome.normalized) > 1e-9
            ):
                return None
        return named[0]


class Outcomes(Iterable[tuple[int, Judgment | Failure | Comparison]]):
    """(row, outcome) pairs of a run, in the order they were made; shard after shard."""

    def __init__(self, path: Path) -> None:
        self._journals = journals(path)
        self.n_doubled = 0
        """Further outcomes of one task that were left out, of those that were read so far."""

    def __iter__(self) -> Iterator[tuple[int, Judgment | Failure | Comparison]]:
        seen = Marks()
        self.n_doubled = 0
        for journal in self._journals:
            for number, row, body in _lines(journal):
                with _damage(journal, number):
                    if len(self._journals) > 1 and not seen.add(row, key_of(body)):
                        self.n_doubled += 1
                        continue
                    outcome = outcome_from(body)
                yield row, outcome


def outcomes(path: Path) -> Outcomes:
    """(row, outcome) pairs of the run in `path`, in the order they were made.

    A run with shards is read shard after shard, each task once. Iterating raises DataError if a
    line of a journal is damaged.
    """
    return Outcomes(path)


def samples(path: Path) -> Iterator[tuple[int, Sample]]:
    """(row, sample) pairs of the run in `path`.

    Raises:
        DataError: a line is damaged.
    """
    for number, row, data in _lines(path / "samples.jsonl", body=None):
        with _damage(path / "samples.jsonl", number):
            sample = Sample(id=data["id"], fields=data["fields"], metadata=data["metadata"])
        yield row, sample


def _lines(path: Path, body: str | None = "outcome") -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Line number from 1, row, and what the line says of it."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # being written, or cut by a kill
            with _damage(path, number):
                data = json.loads(line)
                found, row = data[body] if body else data, int(data["row"])
                version = found.get("version", 0)
            if body and version > SCHEMA_VERSION:
                raise UnknownSchemaVersion(
                    f"outcome version {version}; this Glider reads {SCHEMA_VERSION}",
                    path=str(path),
                    line=number,
                )
            yield number, row, found


@contextmanager
def _damage(path: Path, line: int) -> Iterator[None]:
    """Whatever is wrong with the shape of a line is said with its place."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, GliderError) as exc:
        raise DataError("damaged line", path=str(path), line=line) from exc


def _forget_retryable(path: Path) -> None:
    """Rewrite the journal without failures that a retry may mend; whole or not at all.

    Raises:
        DataError: a line is damaged; the journal stays as it was.
    """
    if not path.exists():
        return
    with path.open("rb") as source, replacing(path) as target:
        for number, line in enumerate(source, start=1):
            with _damage(path, number):
                outcome = json.loads(line)["outcome"]
                parts = outcome.get("orders", [outcome])
                forget = any(part["kind"] == "failure" and part["retryable"] for part in parts)
            if not forget:
                target.write(line)


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Put the run's figures beside its journal."""
    write_json(path / "summary.json", summary)
