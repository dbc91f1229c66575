"""Sentences that sum up a bench, generated from its results."""

from collections.abc import Iterator, Sequence

from glider.bench.results import Figure
from glider.bench.standing import Side, Standings, apart, better, title_of
from glider.pages.words import number

NBSP = "\N{NBSP}"
TESTED: dict[Side, str] = {
    "above": "significantly better",
    "below": "significantly worse",
    "not told apart": "no significant difference",
}
"""What a paired test says, corrected for the number of tests (Holm)."""
COMPARED: dict[Side, str] = {
    "above": "better",
    "below": "worse",
    "not told apart": "intervals overlap",
}
"""What two intervals say where no test could be made."""
READING = (
    "A failed judgment stays in every figure (protocol strict): it counts as wrong, as the level "
    "farthest from the label, or as no information, as each metric has it. Intervals are "
    f"95{NBSP}% and resample whole prompts or documents.",
    "Significantly better or worse: a paired test over the same items, corrected for all tests of "
    f"this page (Holm), has p{NBSP}≤{NBSP}0.05. No significant difference means too little data, "
    "not equality. Against people, whose rows are single ratings, and over all sets together there "
    "is no such test; better or worse then means that the two intervals do not overlap.",
    "One person is one person's rating against the others of the same item.",
)


def heading(standings: Standings) -> str:
    """The title of the page."""
    who = {standings.judge(system) for system in standings.of_kind("judge")}
    if not who:
        return "What simple rules reach"
    return f"How far to trust {'this judge' if len(who) == 1 else 'these judges'}"


def sentences(standings: Standings) -> Iterator[str]:
    """The main results."""
    lead = standings.lead
    n = sum(len(ids) for ids in standings.results.samples.values())
    many = len(standings.benchmarks)
    systems = standings.of_kind("judge")
    if lead is None:
        yield f"No judge was measured, only simple rules, on {_of(many, 'set')}."
        return
    sets = f"from {many} sets" if many > 1 else "from one set"
    one = len({standings.judge(system) for system in systems}) == 1
    who = _of(len(systems), "judge")
    if one and len(systems) > 1:
        who = f"One judge, read in {len(systems)} ways,"
    yield f"{who} scored {_of(n, 'item')} {sets} that people had scored before."
    if len(systems) > 1:
        yield (
            f"The highest is {lead}. It was chosen as the best of {len(systems)} by the same data, "
            "so its figure is slightly too high."
        )
    yield from (
        _of_one(standings, standings.benchmarks[0], lead)
        if many == 1
        else _of_many(standings, lead)
    )
    coverages = [standings.figure(b, lead, "coverage") for b in standings.benchmarks]
    asked = sum(f.asked for f in coverages if f)
    judged = sum(f.judged for f in coverages if f)
    if asked:
        share = "all" if judged == asked else rounded_down(judged, asked)
        yield f"It judged {share} of the {asked:,} items it was asked about."


def best_rule(standings: Standings) -> Figure | None:
    """The baseline that stands highest over all sets; none that is known on some of them only."""
    rules = [standings.aggregate(system) for system in standings.of_kind("baseline")]
    known = [f for f in rules if f and f.value is not None and standings.everywhere(f)]
    return max(known, key=lambda f: f.value or 0.0, default=None)


def verdict_of_rule(
    standings: Standings, benchmark: str, system: str, rule: str, side: Side
) -> str:
    """Where a system stands to a rule, in the words of a test if there was one."""
    tested = standings.difference(benchmark, system, rule) is not None
    return (TESTED if tested else COMPARED)[side]


def rounded_down(part: int, whole: int) -> str:
    """A share with one decimal: 100 % is said only of all."""
    return f"{1000 * part // whole / 10:.1f}{NBSP}%"


def ends(figure: Figure) -> str:
    """The interval of a figure; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{number(figure.low)} to {number(figure.high)}"


def runs(metric: str) -> str:
    """Which way a metric runs, where it is not up."""
    return {"lower": "lower is better", "middle": "0.5 is best"}.get(better(metric), "")


def _of_one(standings: Standings, benchmark: str, lead: str) -> Iterator[str]:
    own = standings.main(benchmark, lead)
    if own is None or own.value is None:
        yield f"There is no figure for it: {own.undefined if own else 'none was computed'}."
        return
    which = {"lower": ", where lower is better", "middle": ", where 0.5 is best"}
    yield (
        f"Its {_inside(title_of(own.metric))} is {number(own.value)}{_reach(own)}"
        f"{which.get(better(own.metric), '')}."
    )
    rules, people = (
        standings.against_rules(benchmark, lead),
        standings.against_people(benchmark, lead),
    )
    if rules:
        yield _against_rule(standings, rules[0], rules[1], benchmark, lead)
    if people:
        yield _compared(f"one person, at {_value(people[0])} with the others", people[1])


def _of_many(standings: Standings, lead: str) -> Iterator[str]:
    own = standings.aggregate(lead)
    if own is not None and own.value is not None:
        yield (
            f"Over all sets it reaches {number(own.value)}{_reach(own)}, where random answers get "
            "0 and perfect agreement with people gets 1."
        )
        best = best_rule(standings)
        if best is not None:
            yield _against_rule(standings, best, apart(own, best))
    rules = [(b, standings.against_rules(b, lead)) for b in standings.benchmarks]
    told = [verdict_of_rule(standings, b, lead, f[0].system, f[1]) for b, f in rules if f]
    if told:
        yield f"Set by set, against the best simple rule there: {_tally(told)}."
    people = [standings.against_people(b, lead) for b in standings.benchmarks]
    told = [COMPARED[found[1]] for found in people if found]
    if told:
        yield f"Set by set, against one person: {_tally(told)}."


def _against_rule(
    standings: Standings, rule: Figure, side: Side, benchmark: str = "", lead: str = ""
) -> str:
    what = f"the best simple rule, {standings.label(rule.system)}, at {_value(rule)}"
    tested = standings.difference(benchmark, lead, rule.system) is not None
    return _tested(what, side) if tested else _compared(what, side)


def _tested(what: str, side: Side) -> str:
    if side == "not told apart":
        return f"There is no significant difference from {what}."
    return f"It is {TESTED[side]} than {what}."


def _compared(what: str, side: Side) -> str:
    if side == "not told apart":
        return f"Its interval overlaps that of {what}."
    return f"It is {COMPARED[side]} than {what}: the two intervals do not overlap."


def _tally(told: Sequence[str]) -> str:
    """How often each answer came out, those that never did left out."""
    counts = {said: told.count(said) for said in (*TESTED.values(), *COMPARED.values())}
    there = {said: n for said, n in counts.items() if n}
    whole = _of(len(told), "set")
    if len(there) == 1:
        return f"{next(iter(there))} on {'all ' if len(told) > 1 else ''}{whole}"
    return ", ".join(f"{said} on {n}" for said, n in there.items()) + f" of {whole}"


def _value(figure: Figure) -> str:
    return number(figure.value or 0.0)


def _inside(title: str) -> str:
    """A title inside a sentence: `Accuracy` is no name, `AUC` and `Pearson's r` are."""
    plain = title[:1].isupper() and title[1:].split("'")[0].islower() and "'" not in title
    return title[0].lower() + title[1:] if plain else title


def _reach(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return f" ({figure.n:,} items)"
    return f" (95{NBSP}% interval {ends(figure)}, {figure.n:,} items)"


def _of(n: int, what: str) -> str:
    words = {1: "One", 2: "Two", 3: "Three"} if what == "judge" else {}
    return f"{words.get(n, f'{n:,}')} {what}{'' if n == 1 else 's'}"
