"""One sample under one criterion."""

from dataclasses import dataclass
from functools import cached_property

from glider.core.base import content_hash
from glider.core.criteria import Criterion, pairwise
from glider.core.samples import Field, Sample

COMPARED = ("output 1", "output 2")
"""What two compared outputs are called to the judge, in the order it reads them."""


@dataclass(frozen=True)
class JudgeTask:
    """What a judge is asked, once."""

    sample: Sample
    criterion: Criterion

    @cached_property
    def id(self) -> str:
        """Hash of both contents: the same texts under the same criterion, in any file or run."""
        return content_hash([self.sample.content_id, self.criterion.content_id])


def pair_id(sample: Sample, criterion: Criterion, first: str, second: str) -> str:
    """Hash of the texts, the criterion and which two judged fields are compared."""
    return content_hash([sample.content_id, criterion.content_id, first, second])


def compared(sample: Sample, criterion: Criterion, first: str, second: str) -> JudgeTask:
    """Two judged fields against each other, in this order, under a pointwise criterion.

    The judge sees neutral names, so a name cannot tell.
    """
    pair = tuple(
        Field(name=shown, text=sample[name], role="judged")
        for shown, name in zip(COMPARED, (first, second), strict=True)
    )
    return JudgeTask(Sample(id=sample.id, fields=sample.told + pair), pairwise(criterion))
