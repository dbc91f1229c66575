"""One sample under one criterion."""

from dataclasses import dataclass
from functools import cached_property

from glider.core.base import content_hash
from glider.core.criteria import Criterion
from glider.core.samples import Sample


@dataclass(frozen=True)
class JudgeTask:
    """What a judge is asked, once."""

    sample: Sample
    criterion: Criterion

    @cached_property
    def id(self) -> str:
        """Hash of both contents: the same texts under the same criterion, in any file or run."""
        return content_hash([self.sample.content_id, self.criterion.content_id])
