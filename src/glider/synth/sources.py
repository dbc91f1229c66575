"""What a plan refers to: own domains and criteria, passages, and labelled texts."""

from pathlib import Path

from glider.core.criteria import Criterion
from glider.core.errors import DataError, MissingField, RecipeError
from glider.core.samples import Sample
from glider.data.library import load_criteria
from glider.data.rows import BadRow, open_rows
from glider.gold.own import own_labels
from glider.synth.draw import Original
from glider.synth.plan import ROLES, Plan, Role
from glider.synth.taxonomy import CriterionOutline, Domain, Taxonomy

OWN = "your own"
"""Group of the user's domains and criteria."""


def real_texts(path: Path) -> list[tuple[Original, Criterion]]:
    """Load labelled texts whose label is a level of their rubric.

    Raises:
        DataError: the file cannot be read, or has no such text.
    """
    labelled = own_labels(path)
    found = []
    for item in labelled.items(path.parent):
        rubric, (low, high) = item.criterion.rubric, item.scale
        share = (item.gold - low) / (high - low)
        score = next((s for s in rubric.scores if abs(rubric.normalize(s) - share) < 1e-9), None)
        judged = item.sample.judged
        if score is None or len(judged) != 1 or not _can_be_asked(item.criterion):
            continue
        texts: dict[Role, str] = {"output": judged[0].text}
        for role in ("input", "context", "reference"):
            field = item.sample.with_role(role)
            if field is not None and field.text.strip():
                texts[role] = field.text
        found.append((Original(id=item.sample.id, score=score, texts=texts), item.criterion))
    if not found:
        raise DataError("no record is one text with a level of its rubric", path=str(path))
    return found


def _can_be_asked(criterion: Criterion) -> bool:
    try:
        _checked(criterion)
    except RecipeError:
        return False
    return True


def with_own(plan: Plan, part: Taxonomy, folder: Path) -> Taxonomy:
    """Return a part of the taxonomy with a plan's own domains and criteria.

    Raises:
        RecipeError: a criterion does not fit the material of records.
    """
    domains = dict(part.domains)
    criteria = dict(part.criteria)
    if plan.own_domains:
        domains = {} if plan.only_own else domains
        domains[OWN] = tuple(Domain(name, OWN) for name in plan.own_domains)
    own = [
        CriterionOutline(criterion.name, OWN, criterion.question, own=_checked(criterion))
        for name in plan.own_criteria
        for criterion in load_criteria(folder / name if Path(name).suffix else name)
    ]
    if own:
        criteria = {} if plan.only_own else criteria
        criteria[OWN] = tuple(own)
    return Taxonomy(domains, criteria)


def _checked(criterion: Criterion) -> Criterion:
    """Check that a user's criterion fits the drawn material."""
    texts: dict[str, str] = dict.fromkeys(ROLES, "text")
    try:
        criterion.question_for(
            Sample.of(output="text", input="text", context="text", reference="text"), texts
        )
    except MissingField as exc:
        raise RecipeError(
            f"criterion {criterion.name!r}: {exc}",
            hint="records have input, output, context and reference",
        ) from exc
    levels = list(criterion.rubric.levels.values())
    if len(set(levels)) < len(levels):
        raise RecipeError(f"criterion {criterion.name!r}: two levels have the same text")
    return criterion


def passages(path: Path) -> list[str]:
    """Load the field `text` of every record.

    Raises:
        DataError: the file cannot be read, or has no text.
    """
    found: list[str] = []
    for row in open_rows(path):
        if isinstance(row, BadRow):
            raise row.error
        text = row.data.get("text")
        if isinstance(text, str) and text.strip():
            found.append(text.strip())
    if not found:
        raise DataError("no record has a `text`", path=str(path))
    return found
