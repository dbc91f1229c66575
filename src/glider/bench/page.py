"""Write a bench as one HTML page: a summary in words, then charts, then texts.

Figures are those of `Results` and are not made anew; only charts are drawn from the answers
themselves. The judge that leads is chosen by the same data, and the page says so. What is shown is
gathered here; how, stands in `page.html`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from markupsafe import Markup

from glider.bench import words
from glider.bench.answers import Answers, Disagreement
from glider.bench.charts import drawings
from glider.bench.held_out import EXPOSURES
from glider.bench.results import Difference, Figure, Results, Split
from glider.bench.standing import Side, Standings, metric_of, side_of, title_of
from glider.pages import svg
from glider.pages.charts import Chart
from glider.pages.marks import excerpt
from glider.pages.page import render
from glider.pages.words import count, date, number, short

_MOST_TEXT = 3000
"""Maximum code points shown of one field."""
_KINDS: Mapping[Side, str] = {"above": "good", "below": "bad", "not told apart": ""}
"""CSS class of each side's pill."""
_ALL_SETS: dict[str, Any] = {"reference": 0.0, "reference_label": "random answers"}


@dataclass(frozen=True, slots=True)
class Standing:
    """How the leading judge compares with something else."""

    kind: str
    said: str
    other: str
    """The other side of the comparison, with its figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLine:
    """The leading judge on one set."""

    name: str
    title: str
    exposure: str
    figure: Figure
    metric: str
    rule: Standing | None
    person: Standing | None
    coverage: Figure | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetSection:
    """The section of one set."""

    name: str
    title: str
    facts: Mapping[str, str]
    note: str
    plots: Sequence[Markup]
    """One plot per metric, the main one first."""
    others: str
    """Names of the other metrics."""
    splits: Sequence[tuple[str, int, Markup]]
    """By what, into how many, the plot."""
    charts: Sequence[Chart]
    differences: Sequence[tuple[Difference, Standing]]
    difference_of: str
    disagreements: Sequence["ShownDisagreement"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDisagreement:
    """A disagreement with its texts."""

    found: Disagreement
    first: str
    people: str
    judge: str
    scale: str
    ratings: str
    fields: Sequence[tuple[str, bool, Markup]]
    """Name, whether it is judged, and the text with its marks."""


def page(results: Results, answers: Sequence[Answers] = ()) -> str:
    """The whole page.

    Args:
        answers: of judges, as far as they are at hand; charts and disagreements are shown of the
            judge that leads.
    """
    standings = Standings(results)
    by_set = {a.scored.benchmark: a for a in answers if a.scored.system == standings.lead}
    return render(
        "bench/page.html",
        title=words.heading(standings),
        facts=_facts(standings),
        results=results,
        lead=standings.lead,
        label=standings.label,
        ends=words.ends,
        rounded_down=words.rounded_down,
        sentences=list(words.sentences(standings)),
        reading=words.READING,
        glance=_glance(standings),
        lines=list(_lines(standings)),
        overall=list(_overall(standings)),
        sections=[_section(standings, name, by_set.get(name)) for name in standings.benchmarks],
    )


def _facts(standings: Standings) -> dict[str, str]:
    results, judges = standings.results, standings.of_kind("judge")
    return {
        "Judge" if len(judges) == 1 else "Judges": "; ".join(judges),
        "Sets": count(len(standings.benchmarks)),
        "Items": count(sum(len(ids) for ids in results.samples.values())),
        "Date": date(results.made_at),
        "Seed": str(results.settings.get("seed", "")),
    }


# The leading judge ------------------------------------------------------------------------------


def _glance(standings: Standings) -> Markup | None:
    """Judge, best rule and one person on one axis; None if there is no figure."""
    lead = standings.lead
    if lead is None:
        return None
    others: list[Figure | None]
    if len(standings.benchmarks) == 1:
        benchmark = standings.benchmarks[0]
        own = standings.main(benchmark, lead)
        others = [standings.best("baseline", benchmark), standings.best("people", benchmark)]
        title, marks = (title_of(own.metric), _reference(own.metric)) if own else ("", {})
    else:
        own = standings.aggregate(lead)
        # People's figures exist for some sets only: their mean is not comparable with the others.
        others = [words.best_rule(standings)]
        title, marks = "All sets together", _ALL_SETS
    if own is None or own.value is None:
        return None
    names = {"judge": lead, "baseline": "best simple rule", "people": "one person"}
    rows = [
        _row(standings, f, names[standings.kind(f.system)]) for f in (own, *others) if f is not None
    ]
    return svg.forest(rows, title=title, headings=False, **marks)


def _lines(standings: Standings) -> Iterator[SetLine]:
    lead = standings.lead
    for name in standings.benchmarks if lead else ():
        assert lead is not None
        own = standings.main(name, lead)
        if own is None:
            continue
        rule, person = standings.against_rules(name, lead), standings.against_people(name, lead)
        yield SetLine(
            name=name,
            title=_title(standings, name),
            exposure=standings.about(name).get("exposure") or "",
            figure=own,
            metric=title_of(own.metric),
            rule=rule
            and Standing(
                _KINDS[rule[1]],
                words.verdict_of_rule(standings, name, lead, rule[0].system, rule[1]),
                f"{standings.label(rule[0].system)}: {number(rule[0].value or 0.0)}",
            ),
            person=person
            and Standing(
                _KINDS[person[1]], words.COMPARED[person[1]], number(person[0].value or 0.0)
            ),
            coverage=standings.figure(name, lead, "coverage"),
        )


def _overall(standings: Standings) -> Iterator[Markup]:
    """The aggregate of every system, and the leading judge's main metrics set by set."""
    if len(standings.benchmarks) < 2:
        return
    wholes = [f for s in _ordered(standings) if (f := standings.aggregate(s)) is not None]
    if wholes:
        some = {f.system: "" if standings.everywhere(f) else " (some sets only)" for f in wholes}
        rows = [_row(standings, f, standings.label(f.system) + some[f.system]) for f in wholes]
        title = "All sets together: random is 0, perfect is 1"
        yield svg.forest(rows, title=title, **_ALL_SETS)
    lead = standings.lead
    if lead is None:
        return
    kinds = [(f, e) for e in EXPOSURES if (f := standings.aggregate(lead, e)) is not None]
    if kinds:
        rows = [_row(standings, f, exposure[:1].upper() + exposure[1:]) for f, exposure in kinds]
        title = f"{lead}: by what was trained on"
        yield svg.forest(rows, title=title, first="Sets", **_ALL_SETS)
    by_metric: dict[str, list[svg.ForestRow]] = {}
    for name in standings.benchmarks:
        own = standings.main(name, lead)
        if own is not None:
            by_metric.setdefault(own.metric, []).append(
                _row(standings, own, _title(standings, name))
            )
    for metric, rows in by_metric.items():
        # One set alone is in the table above.
        if len(rows) > 1:
            title = f"{lead}: {title_of(metric)}"
            yield svg.forest(rows, title=title, first="Set", **_reference(metric))


# One set ----------------------------------------------------------------------------------------


def _section(standings: Standings, name: str, answers: Answers | None) -> SetSection:
    about, metrics = standings.about(name), standings.metrics(name)
    n = len(standings.results.samples.get(name, ()))
    differences = [d for d in standings.results.differences if d.benchmark == name]
    plots = [plot for metric in metrics if (plot := _systems(standings, name, metric)) is not None]
    return SetSection(
        name=name,
        title=_title(standings, name),
        facts={
            "Name": name,
            "Items": count(n) if n else "",
            "Labels by": str(about.get("labels_by", "")),
            "Kind": str(about.get("family", "")),
            "Languages": ", ".join(about.get("languages", ())),
            "Licence": str(about.get("licence", "")),
            "Training": str(about.get("exposure") or ""),
        },
        note=str(about.get("note", "")),
        plots=plots,
        others=", ".join(title_of(metric) for metric in metrics[1:]),
        splits=list(_splits(standings, name, metrics[0])) if metrics else [],
        charts=drawings(answers, pairs=about.get("kind") == "pairs") if answers else [],
        differences=[(d, _tested(standings, d)) for d in differences],
        difference_of=title_of(differences[0].metric) if differences else "",
        disagreements=[_shown(found) for found in answers.worst] if answers else [],
    )


def _systems(standings: Standings, name: str, metric: str) -> Markup | None:
    found = [standings.figure(name, system, metric) for system in _ordered(standings)]
    rows = [_row(standings, figure, standings.label(figure.system)) for figure in found if figure]
    which = words.runs(metric)
    title = title_of(metric) + (f" ({which})" if which else "")
    return svg.forest(rows, title=title, **_reference(metric)) if rows else None


def _splits(standings: Standings, name: str, metric: str) -> Iterator[tuple[str, int, Markup]]:
    """The leading judge's figures by part and by subset."""
    by: Split
    for by in get_args(Split):
        rows = [
            _row(standings, f, f.part)
            for f in standings.results.figures
            if (f.benchmark, f.system, f.metric) == (name, standings.lead, metric)
            and (f.protocol, f.by) == ("strict", by)
            and f.part
        ]
        if rows:
            title = f"{standings.lead}: {title_of(metric)} by {by}"
            plot = svg.forest(rows, title=title, first=by.capitalize(), **_reference(metric))
            yield by, len(rows), plot


def _tested(standings: Standings, d: Difference) -> Standing:
    other = standings.label(d.b)
    if d.value is None:
        return Standing("", "no test", other)
    side = side_of(d)
    return Standing(_KINDS[side], words.TESTED[side], other)


def _shown(found: Disagreement) -> ShownDisagreement:
    item = found.item
    judged = {field.name for field in item.sample.judged}
    if item.is_pair:
        people = {0.0: "first", 1.0: "second"}.get(item.gold, "tie")
        judge = "first" if found.score < 0.5 else "second" if found.score > 0.5 else "tie"
        scale = f"Probability that the second is better: {found.score:.2f}"
    else:
        low, high = item.scale
        people, judge = short(round(item.gold, 2)), number(found.score)
        scale = f"on a scale of {short(low)} to {short(high)}"
    ratings = [short(round(rating, 2)) for rating in item.ratings]
    return ShownDisagreement(
        found=found,
        first=" ".join(item.sample.judged[0].text.split())[:160] or "(empty)",
        people=people,
        judge=judge,
        scale=scale,
        ratings=", ".join(ratings) if len(ratings) > 1 else "",
        fields=[
            (f.name, f.name in judged, excerpt(f.text, f.name, found.highlights, _MOST_TEXT))
            for f in item.sample.fields
        ],
    )


# Parts ------------------------------------------------------------------------------------------


def _ordered(standings: Standings) -> list[str]:
    return [
        *standings.of_kind("judge"),
        *standings.of_kind("baseline"),
        *standings.of_kind("people"),
    ]


def _row(standings: Standings, figure: Figure, label: str) -> svg.ForestRow:
    return svg.ForestRow(
        label=label,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        n=figure.n,
        kind=standings.kind(figure.system),
        note=figure.undefined,
    )


def _reference(metric: str) -> dict[str, Any]:
    known = metric_of(metric)
    if known is None or known.chance is None:
        return {}
    return {"reference": known.chance, "reference_label": "random answers"}


def _title(standings: Standings, name: str) -> str:
    return str(standings.about(name).get("title") or name)
