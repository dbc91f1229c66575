"""Held-out items: those of a set on which a trained judge may be measured.

`glider data` writes `held-out.json` beside the files to train on: each set that it drew on, with
the clusters of its development part. Of these sets only those clusters are measured; a set that is
not named there is measured whole. A set of which nothing was held out cannot be measured honestly.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import TypeAdapter, ValidationError

from glider.core.errors import DataError
from glider.gold.sets import LabelledSet

FILE = "held-out.json"
Exposure = Literal["held-out part of a trained set", "not trained on", "unseen task"]
EXPOSURES: tuple[Exposure, ...] = get_args(Exposure)
_CLUSTERS = TypeAdapter(dict[str, frozenset[str]])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The development part of every set used to train a judge."""

    clusters: Mapping[str, frozenset[str]]
    """Measurable clusters of each set; none: the whole set was used for training."""
    sha256: str
    """Hash of the file, which shows whether two runs held out the same items."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read from a folder that `glider data` made.

        Raises:
            DataError: the file is missing or has other content.
        """
        path = folder / FILE
        try:
            text = path.read_bytes()
        except OSError as exc:
            raise DataError(
                f"no {FILE} can be read there: {exc.strerror}", path=str(folder),
                hint="give the folder that `glider data` made for this judge",
            ) from exc  # fmt: skip
        try:
            clusters = _CLUSTERS.validate_json(text)
        except ValidationError as exc:
            raise DataError("does not list clusters by set", path=str(path)) from exc
        return cls(clusters, hashlib.sha256(text).hexdigest())

    def exposure(self, labelled: LabelledSet) -> Exposure:
        """Return what the judge saw of a set in training."""
        if labelled.name in self.clusters:
            return "held-out part of a trained set"
        return "unseen task" if labelled.use == "unseen" else "not trained on"

    def is_whole(self, labelled: LabelledSet) -> bool:
        """Whether the whole set was used for training, so that nothing is left to measure."""
        return self.clusters.get(labelled.name) == frozenset()
