"""A log of verdicts as run folders, which `glider report` reads: judgments and decisions.

A row is a verdict, with an outcome for each check of its policy; the verdict is in the sample's
metadata. A verdict that cannot be logged is withheld: the policy's `on_error` replaces it.
"""

import hashlib
import random
import shutil
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field as _Field

from glider.core.base import Frozen
from glider.core.criteria import Criterion
from glider.core.judgments import Failure, Judgment, Outcome
from glider.core.samples import Field, Sample
from glider.core.tasks import JudgeTask
from glider.serve.policies import BoundPolicy
from glider.serve.wires.ours import Verdict
from glider.store.folder import claim_folder
from glider.store.manifest import Manifest
from glider.store.run import RunFolder

Texts = Literal["whole", "hashed", "left out"]


class LogSettings(Frozen):
    """What is logged of verdicts, and where."""

    folder: Path
    """Prefix of the folder names; each start creates a new folder."""
    share: float = _Field(default=1.0, gt=0, le=1)
    """Share of verdicts to log, sampled at random."""
    texts: Texts = "whole"
    """If texts are hashed or left out, reasons and quotes are left out."""
    rows: int = _Field(default=100_000, ge=1)
    """Verdicts per folder; after that a new one is started."""
    megabytes: float | None = _Field(default=None, gt=0)
    """Size of a folder after which a new one is started."""
    hours: float | None = _Field(default=None, gt=0)
    """Age of a folder after which the next verdict starts a new one."""


class VerdictLog:
    """An open log. Use from one thread only."""

    def __init__(self, settings: LogSettings, policies: Iterable[BoundPolicy], judge: str) -> None:
        """Create a folder.

        Raises:
            RunError: it cannot be written.
        """
        self.settings, self._judge = settings, judge
        asked = (check.criterion for policy in policies for check in policy.checks)
        self._criteria: dict[str, Criterion] = {one.name: one for one in asked}
        self._drawn = random.SystemRandom()
        self._row, self._since = 0, time.monotonic()
        self._run = self._begun()

    @property
    def path(self) -> Path:
        """The folder being written."""
        return self._run.path

    def _begun(self) -> RunFolder:
        folder = claim_folder(f"{self.settings.folder}-")
        manifest = Manifest.of(
            run_id=folder.name,
            judge=self._judge,
            settings={"served": True, "texts": self.settings.texts, "share": self.settings.share},
            criteria={name: one.content_id for name, one in self._criteria.items()},
            input_path="(served)",
            input_sha256=None,
        )
        try:
            return RunFolder.create(folder, manifest, list(self._criteria.values()))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # else each verdict would leave one
            raise

    def record(
        self,
        policy: BoundPolicy,
        sample: Sample,
        verdict: Verdict,
        outcomes: Sequence[Outcome],
        owner: str | None,
    ) -> None:
        """Write a verdict, or skip it if it is not sampled.

        Raises:
            RunError: the disk is full or gone.
        """
        if self.settings.share < 1 and self._drawn.random() >= self.settings.share:
            return
        if self._is_full():
            before, self._run = self._run, self._begun()
            self._row, self._since = 0, time.monotonic()
            before.close()
        told = {
            "policy": policy.name,
            "verdict": verdict.verdict,
            "because": verdict.because,
            "key": owner,
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        row, self._row = self._row, self._row + 1
        fields = tuple(
            Field(name=one.name, text=self._kept(one.text), role=one.role) for one in sample.fields
        )
        self._run.record_sample(row, Sample(id=sample.id, fields=fields, metadata=told))
        for outcome in outcomes or _unjudged(policy, sample, verdict, self._judge):
            self._run.record(row, self._without_texts(outcome))

    def _is_full(self) -> bool:
        asked = self.settings
        if self._row >= asked.rows:
            return True
        if asked.hours is not None and time.monotonic() - self._since >= 3600 * asked.hours:
            return self._row > 0
        return asked.megabytes is not None and self._size() >= 1e6 * asked.megabytes

    def _size(self) -> int:
        files = (self.path / name for name in ("samples.jsonl", "journal.jsonl"))
        return sum(file.stat().st_size for file in files)

    def _kept(self, text: str) -> str:
        if self.settings.texts == "whole":
            return text
        if self.settings.texts == "left out":
            return ""
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()

    def _without_texts(self, outcome: Outcome) -> Outcome:
        if self.settings.texts == "whole":
            return outcome
        if isinstance(outcome, Judgment):
            return outcome.model_copy(
                update={"reasoning": None, "highlights": (), "raw_text": "", "steps": ()}
            )
        if isinstance(outcome, Failure):
            return outcome.model_copy(
                update={"message": outcome.code, "raw_text": None, "steps": ()}
            )
        return outcome

    def close(self) -> None:
        """Flush everything to disk."""
        self._run.close()


def _unjudged(policy: BoundPolicy, sample: Sample, verdict: Verdict, judge: str) -> list[Outcome]:
    code = "timeout" if verdict.because == "deadline" else "unavailable"
    return [
        Failure(
            task_id=JudgeTask(sample, check.criterion).id,
            sample_id=sample.id,
            criterion=check.criterion.name,
            judge=judge,
            stage="generate",
            code=code,
            message=f"no judgment: {verdict.because}",
            retryable=True,
        )
        for check in policy.checks
    ]
