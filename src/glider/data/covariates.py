"""What can be told of a sample without any model: how long it is, how like what it was given.

The rules of `glider bench` (length, chrF, embedding similarity) as numbers, so that labels can
weigh a judge against them. Of two outputs each number is the second's less the first's.
"""

import math
from collections.abc import Callable, Iterable, Sequence

from glider.core.errors import UnknownName
from glider.core.samples import Sample
from glider.text.similarity import Pairs, chrf, embedding, rouge_l

_SIMILARITIES: dict[str, Callable[[Pairs], list[float]]] = {
    "chrf": chrf,
    "embedding": embedding,
    "rouge_l": rouge_l,
}
COVARIATES = ("length", *_SIMILARITIES)
"""`length`: logarithm of 1 + characters. The others: similarity to `compared_with`, 0..1."""

Values = tuple[float, ...]
"""One number for each covariate that was asked for; NaN where a sample has none."""


def compared_with(sample: Sample) -> str | None:
    """The text that outputs are held against; None where there is nothing but outputs.

    The reference; without one the context; else the input.
    """
    for role in ("reference", "context", "input"):
        field = sample.with_role(role)
        if field is not None and field.text.strip():
            return field.text
    return None


def covariate_names(given: Sequence[str]) -> tuple[str, ...]:
    """The names of `--with A,B --with C`, each once.

    Raises:
        UnknownName: no such covariate.
    """
    names = dict.fromkeys(name.strip() for words in given for name in words.split(","))
    for name in names:
        if name not in COVARIATES:
            raise UnknownName("covariate", name, list(COVARIATES))
    return tuple(names)


def covariates(sample: Sample, names: Iterable[str]) -> Values:
    """The numbers of one sample, in the order of the names.

    Raises:
        MissingExtra: what measures one of them is not installed.
    """
    return tuple(_value(sample, name) for name in names)


def _value(sample: Sample, name: str) -> float:
    texts = [field.text for field in sample.judged]
    if name == "length":
        values = [math.log1p(len(text)) for text in texts]
    else:
        goal = compared_with(sample)
        if goal is None:
            return math.nan
        values = _SIMILARITIES[name]([(text, goal) for text in texts])
    if len(values) > 2:
        return math.nan
    return values[1] - values[0] if len(values) == 2 else values[0]
