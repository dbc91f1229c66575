"""The shipped domains and criteria: enough of them, even groups, no two alike."""

from itertools import combinations

import pytest
from rapidfuzz import fuzz

from glider.core.errors import RecipeError
from glider.synth.plan import SCALES
from glider.synth.taxonomy import LEVELS, CriterionOutline, shipped, titles


def test_it_is_as_large_as_the_papers_and_its_groups_are_even():
    domains, criteria = shipped().domains, shipped().criteria
    assert sum(map(len, domains.values())) >= 685
    assert len(domains) >= 18
    assert sum(map(len, criteria.values())) >= 183
    assert len(criteria) >= 15
    for groups in (domains, criteria):  # the paper's largest group was 14 times its smallest
        sizes = sorted(map(len, groups.values()))
        assert sizes[-1] <= 6 * sizes[0]
    assert set(titles()) == set(domains) | set(criteria)


_ALIKE_AND_DIFFERENT = {
    ("change management", "anger management"),
    ("inorganic chemistry", "organic chemistry"),
}


@pytest.mark.parametrize("kind", ["domains", "criteria"])
def test_no_two_names_are_near_duplicates(kind):
    names = [e.name for entries in getattr(shipped(), kind).values() for e in entries]
    assert len(set(names)) == len(names)
    near = [
        (one, two) for one, two in combinations(names, 2) if fuzz.token_sort_ratio(one, two) > 88
    ]
    assert set(near) <= _ALIKE_AND_DIFFERENT


def test_no_two_questions_are_near_duplicates_and_every_level_says_something_of_its_own():
    outlines = [o for entries in shipped().criteria.values() for o in entries]
    questions = [o.question for o in outlines]
    near = [(a, b) for a, b in combinations(questions, 2) if fuzz.ratio(a, b) > 92]
    assert not near
    for outline in outlines:
        assert outline.question.endswith("?"), outline.name
        assert len(set(outline.levels)) == LEVELS, outline.name


@pytest.mark.parametrize("scale", SCALES)
def test_a_criterion_on_any_scale_keeps_its_ends_and_has_distinct_levels(scale):
    for outline in (o for entries in shipped().criteria.values() for o in entries):
        criterion = outline.on_scale(SCALES[scale])
        levels = list(criterion.rubric.levels.values())
        assert criterion.rubric.scores == SCALES[scale]
        assert len(set(levels)) == len(levels)
        assert levels[0].startswith(outline.levels[0].rstrip("."))
        assert levels[-1].startswith(outline.levels[-1].rstrip("."))


def test_a_criterion_of_the_users_keeps_its_own_scale():
    own = shipped().criteria["accuracy"][0].on_scale((0, 1))
    outline = CriterionOutline("mine", "your own", own.question, own=own)
    assert outline.on_scale((1, 2, 3, 4, 5)) is own


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ({"domains": ("auditin",)}, "auditing"),
        ({"domain_groups": ("finanse",)}, "finance"),
        ({"criteria": ("factual accuracy!",)}, "factual accuracy"),
    ],
)
def test_an_unknown_name_is_met_with_near_ones(asked, near):
    with pytest.raises(RecipeError, match=near):
        shipped().part(**asked)


def test_a_part_has_the_groups_and_entries_that_are_named():
    part = shipped().part(domain_groups=("finance",), domains=("annual reports",))
    assert set(part.domains) == {"business", "finance"}
    assert [d.name for d in part.domains["business"]] == ["annual reports"]
    assert part.criteria == dict(shipped().criteria)
