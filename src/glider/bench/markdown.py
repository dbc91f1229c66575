"""Write results as Markdown: one row per benchmark, one column per system.

Computes nothing but the best baseline of each row. Undefined figures are a dash; their reasons
follow below the table.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from glider.bench.held_out import EXPOSURES
from glider.bench.metrics import METRICS
from glider.bench.published import Published, published
from glider.bench.results import Difference, Figure, Results
from glider.bench.table import ALL, BY_LANGUAGE
from glider.core.errors import UnknownName

_ALPHA = 0.05
_MOST_DIFFERENCES = 30
_DASH = "–"


def markdown(results: Results, *, title: str = "Agreement with people") -> str:
    """The whole report; headings start at level 1."""
    shown = _Shown(results)
    blocks = [
        f"# {title}",
        _how_made(results, shown),
        "## By benchmark",
        _legend(shown),
        shown.main_table(),
        shown.reasons(),
        "## Between random and perfect",
        "Each benchmark's main metric, mapped so that random answers get 0 and perfect ones 1, "
        "then averaged (Themis, arXiv 2502.02988). Systems that saw other benchmarks are not "
        "comparable: the number of benchmarks stands in brackets.",
        shown.aggregate_table(),
        *shown.gaps(),
        *shown.languages(),
        *shown.published(),
        "## Every metric",
        "*judged only* leaves failed judgments out; all other rows count them as wrong, or as "
        "no information. One row for each metric, value only; intervals are in `results.json`.",
        shown.full_table(),
        *shown.splits(),
        *shown.others(),
        "## Differences",
        *shown.differences(),
    ]
    if results.lost:
        blocks += ["## What was not judged", _list(results.lost)]
    if results.notes:
        blocks += ["## What was odd", _list(results.notes)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def brief(results: Results) -> str:
    """Return the two main tables, what was not judged, and the notes."""
    shown = _Shown(results)
    blocks = [shown.main_table(), shown.reasons(), shown.aggregate_table()]
    blocks += [*shown.languages(), *shown.published()]
    blocks += [_list(results.lost), _list(results.notes)]
    return "\n\n".join(block for block in blocks if block) + "\n"


class _Shown:
    """The figures, indexed as the tables need them."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.benchmarks: Mapping[str, Mapping[str, object]] = results.settings["benchmarks"]
        found = {about.get("exposure") for about in self.benchmarks.values()}
        self.exposures = [exposure for exposure in EXPOSURES if exposure in found]
        scored = {f.system for f in results.figures if f.metric == "coverage"}
        systems = results.settings["systems"].items()
        kinds = {name: about["kind"] for name, about in systems if name in scored}
        self.judges = [name for name, kind in kinds.items() if kind == "judge"]
        self.baselines = [name for name, kind in kinds.items() if kind == "baseline"]
        self.people = [name for name, kind in kinds.items() if kind == "people"]
        self.whole = {
            (f.benchmark, f.metric, f.protocol, f.system): f
            for f in results.figures
            if not f.part and f.benchmark != ALL
        }
        self.better: dict[tuple[str, str, str], Difference] = {
            (d.benchmark, d.a, d.b): d for d in results.differences
        }

    def main_table(self) -> str:
        columns = list(self.judges)
        if self.baselines:
            columns.append("best baseline")
        columns += self.people
        rows = []
        for family, names in self._families().items():
            for place, name in enumerate(names):
                rows.append(["" if place else family, *self._main_row(name, columns)])
        words = ["task", "benchmark", *(["training"] if self.exposures else []), "metric"]
        return _table([*words, "n", *columns], rows, left=len(words))

    def _families(self) -> dict[str, list[str]]:
        families: dict[str, list[str]] = defaultdict(list)
        for name, about in self.benchmarks.items():
            families[str(about["family"])].append(name)
        return dict(sorted(families.items()))

    def _main(self, benchmark: str) -> str:
        metrics = self.benchmarks[benchmark]["metrics"]
        assert isinstance(metrics, list)
        return str(metrics[0])

    def _main_row(self, benchmark: str, columns: Sequence[str]) -> list[str]:
        metric = self._main(benchmark)
        best = self._best(benchmark, metric, self.baselines)
        cells = []
        for column in columns:
            if column == "best baseline":
                cells.append(f"{_cell(best)} {best.system}" if best else _DASH)
                continue
            figure = self.whole.get((benchmark, metric, "strict", column))
            mark = self._mark(benchmark, column, best) if column in self.judges else ""
            cells.append(_cell(figure) + mark + _coverage(figure))
        asked = max((f.asked for (b, *_, s), f in self.whole.items()
                     if b == benchmark and s not in self.people), default=0)  # fmt: skip
        seen = [str(self.benchmarks[benchmark]["exposure"] or "")] if self.exposures else []
        return [benchmark, *seen, metric_title(metric), f"{asked:,}", *cells]

    def _best(self, benchmark: str, metric: str, systems: Iterable[str]) -> Figure | None:
        found = [self.whole.get((benchmark, metric, "strict", system)) for system in systems]
        known = [(f.value, f) for f in found if f is not None and f.value is not None]
        if not known:
            return None
        lower = _better(metric) == "lower"
        return (min if lower else max)(known, key=lambda pair: pair[0])[1]

    def _mark(self, benchmark: str, system: str, best: Figure | None) -> str:
        """An arrow where the judge is significantly above or below the row's best baseline."""
        difference = best and self.better.get((benchmark, system, best.system))
        if not difference or difference.value is None or difference.p_adjusted is None:
            return ""
        if difference.p_adjusted >= _ALPHA:
            return ""
        gain = difference.value * (-1 if _better(difference.metric) == "lower" else 1)
        return " ▲" if gain > 0 else " ▼"

    def aggregate_table(self) -> str:
        found = {
            (f.part, f.system): f
            for f in self.results.figures
            if f.benchmark == ALL and f.metric == "aggregate"
        }
        systems = [s for s in (*self.judges, *self.baselines, *self.people) if ("", s) in found]
        families = list(self._families())
        rows = []
        groups = ["", *self.exposures]
        for part in (*groups, *(families if len(families) > 1 else ())):
            figures = [found.get((part, system)) for system in systems]
            whole = part in groups
            cells = (_cell(f, interval=whole) + _coverage(f) + _count(f, whole) for f in figures)
            rows.append([f"**{part or 'all'}**" if whole else part, *cells])
        return _table(["task", *systems], rows, left=1)

    def gaps(self) -> list[str]:
        """One system minus another over all benchmarks and over each group of them."""
        found = {(d.a, d.b, d.part): d for d in self.results.overall}
        groups = ["", *self.exposures]
        rows = []
        for a, b in dict.fromkeys((a, b) for a, b, _ in found):
            cells = []
            for part in groups:
                d = found.get((a, b, part))
                cells.append(
                    _interval(d.value, d.low, d.high) + f" ({_benchmarks(d)})" if d else _DASH
                )
            rows.append([f"{a} less {b}", *cells])
        if not rows:
            return []
        text = (
            "The same for one system less another, on the benchmarks and items that both saw, "
            "in the same resamples; of people, who rate other rows, by the intervals of the two."
        )
        return [text, _table(["", *(part or "all" for part in groups)], rows, left=1)]

    def full_table(self) -> str:
        systems = [*self.judges, *self.baselines, *self.people]
        rows = []
        for benchmark, about in self.benchmarks.items():
            metrics = about["metrics"]
            assert isinstance(metrics, list)
            for metric in [*metrics, "coverage"]:
                for protocol in ("strict", "judged only"):
                    figures = [
                        self.whole.get((benchmark, metric, protocol, system)) for system in systems
                    ]
                    if not any(figures) or _all_judged(metric, figures):
                        continue
                    name = metric_title(metric) + (", judged only" if protocol != "strict" else "")
                    cells = (_cell(figure, interval=False) for figure in figures)
                    rows.append([benchmark, name, *cells])
        return _table(["benchmark", "metric", *systems], rows, left=2)

    def splits(self) -> list[str]:
        """The main metric by part and by named subset, folded: it is long."""
        by_row: dict[tuple[str, str, str], dict[str, Figure]] = defaultdict(dict)
        for figure in self.results.figures:
            if figure.part and figure.benchmark != ALL and figure.protocol == "strict":
                row = figure.benchmark, figure.by, figure.part
                by_row[row][figure.system] = figure
        if not by_row:
            return []
        systems = [*self.judges, *self.people]
        rows = []
        for (benchmark, by, part), own in by_row.items():
            asked = max((f.asked for s, f in own.items() if s not in self.people), default=0)
            cells = (_cell(own.get(system)) + _coverage(own.get(system)) for system in systems)
            rows.append(
                [benchmark, metric_title(self._main(benchmark)), by, part, f"{asked:,}", *cells]
            )
        text = (
            "Each benchmark's main metric again, in each of its parts, whose mean it is, and in "
            "each named subset of its items, which may cut across the parts."
        )
        table = _table(["benchmark", "metric", "by", "", "n", *systems], rows, left=4)
        fold = f"<details><summary>{len(rows):,} rows</summary>"
        return ["## By part and subset", text, fold, table, "</details>"]

    def languages(self) -> list[str]:
        """The figures of each judge by language, if there are several."""
        found = {(f.part, f.system): f for f in self.results.figures if f.metric == BY_LANGUAGE}
        codes = list(dict.fromkeys(code for code, _ in found))
        if not codes:
            return []
        rows = [
            [code, *(_with_floor(found.get((code, system))) for system in self.judges)]
            for code in codes
        ]
        text = (
            "Random is 0 and perfect is 1, averaged over the benchmarks that have items in the "
            "language. **Bold**: the whole interval is above 0, so the judge is better than "
            "chance; a judge is only named for such languages."
        )
        return ["## By language", text, _table(["language", *self.judges], rows, left=1)]

    def published(self) -> list[str]:
        """Our judges on sets with published figures, the best first."""
        rows = []
        for benchmark in self.benchmarks:
            known = [each for each in published() if each.set == benchmark]
            for metric in dict.fromkeys(each.metric for each in known):
                lines = [
                    (value / 100, system, f"{value:.1f}", _source(each))
                    for each in known
                    if each.metric == metric
                    for system, value in each.figures.items()
                ]
                for system in self.judges if metric else ():
                    figure = self.whole.get((benchmark, metric, "strict", system))
                    if figure is not None and figure.value is not None:
                        cell = _in_hundredths(figure.value, figure.low, figure.high)
                        lines.append((figure.value, f"**{system}**", cell, "measured here"))
                title = metric_title(metric) if metric else "measured in another way"
                rows += [
                    [benchmark, title, system, cell, source]
                    for _, system, cell, source in sorted(lines, key=lambda line: -line[0])
                ]
        if not rows:
            return []
        text = (
            "In hundredths. Published figures are of other items, prompts and days; their sources "
            "give no intervals. *note*: seen in a summary, not in the source itself."
        )
        head = ["benchmark", "metric", "system", "figure", "source"]
        return ["## Beside published figures", text, _table(head, rows, left=3)]

    def others(self) -> list[str]:
        """Figures under metrics that no set lists: highlights, single-purpose scores."""
        listed = {m for about in self.benchmarks.values() for m in about["metrics"]}  # type: ignore[attr-defined]
        listed |= {"coverage", "aggregate"}
        found = [f for f in self.whole.values() if f.metric not in listed]
        metrics = list(dict.fromkeys(f.metric for f in found if f.value is not None))
        by_row: dict[tuple[str, str], dict[str, Figure]] = defaultdict(dict)
        for figure in found:
            if figure.value is not None:
                by_row[figure.benchmark, figure.system][figure.metric] = figure
        rows = [
            [benchmark, system, *(_cell(own.get(metric)) for metric in metrics)]
            for (benchmark, system), own in by_row.items()
        ]
        table = _table(["benchmark", "system", *metrics], rows, left=2)
        return ["## Reasons, marks and more", table] if rows else []

    def differences(self) -> list[str]:
        tested = [d for d in self.results.differences if d.p_adjusted is not None]
        if not tested:
            return ["No two systems could be compared by a paired test."]
        sure = [d for d in tested if d.p_adjusted is not None and d.p_adjusted < _ALPHA]
        text = (
            f"{len(tested)} pairs of systems were compared on the same items by a paired "
            "permutation test over whole clusters, each in the benchmark's main metric. After "
            f"Holm's correction over all of them, {len(sure)} differ at the level {_ALPHA:g}"
        )
        if not sure:
            return [text + "."]
        shown = sorted(sure, key=lambda d: -abs(d.value or 0))[:_MOST_DIFFERENCES]
        text += f"; the {len(shown)} largest:" if len(shown) < len(sure) else ":"
        rows = [
            [
                d.benchmark,
                d.a,
                d.b,
                metric_title(d.metric),
                _interval(d.value, d.low, d.high),
                f"{d.p_adjusted:.3f}",
            ]
            for d in shown
        ]
        head = ["benchmark", "a", "b", "metric", "a less b", "p (Holm)"]
        return [text, _table(head, rows, left=4)]

    def reasons(self) -> str:
        """Explain the dashes in the main table, each reason once."""
        where: dict[str, list[str]] = defaultdict(list)
        for benchmark in self.benchmarks:
            for system in (*self.judges, *self.people):
                figure = self.whole.get((benchmark, self._main(benchmark), "strict", system))
                if figure is not None and figure.undefined:
                    where[figure.undefined].append(f"{benchmark} ({system})")
        if not where:
            return ""
        lines = [f"- {reason}: {_some(places)}" for reason, places in where.items()]
        return f"A dash ({_DASH}) has one of these reasons:\n\n" + "\n".join(lines)


def _source(each: Published) -> str:
    return "; ".join(filter(None, (each.source, "*note*" * (each.seen == "note"), each.why)))


def _with_floor(figure: Figure | None) -> str:
    cell = _cell(figure) + _coverage(figure)
    if figure is None or figure.value is None:
        return cell
    n = f" ({figure.n:,})"
    return (f"**{cell}**" if figure.low is not None and figure.low > 0 else cell) + n


def _in_hundredths(value: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{100 * value:.1f}"
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def metric_title(name: str) -> str:
    """Return the display title of a metric."""
    try:
        return METRICS.get(name).title
    except UnknownName:
        return name


def _better(name: str) -> str:
    try:
        return METRICS.get(name).better
    except UnknownName:
        return "higher"


def _how_made(results: Results, shown: _Shown) -> str:
    settings = results.settings
    limits = {n for name in shown.judges for n in settings["systems"][name].get("limits", ())}
    drawn = "all items of each"
    if limits:
        most = " to ".join(f"{n:,}" for n in sorted({min(limits), max(limits)}))
        drawn = f"at most {most} items of each, drawn with seed {settings['seed']}"
    return (
        f"{len(shown.benchmarks)} benchmark{'s' * (len(shown.benchmarks) != 1)}, {drawn}; "
        f"{len(shown.judges)} judge{'s' * (len(shown.judges) != 1)}, "
        f"{len(shown.baselines)} baselines. Brackets are 95 % intervals from "
        f"{settings['n_resamples']} resamples of whole prompts or documents. "
        f"Made {results.made_at[:10]} by Glider {results.glider}."
    )


def _legend(shown: _Shown) -> str:
    text = (
        "Each benchmark's main metric, averaged over its parts. Failed judgments count as wrong, "
        "or as no information; a percentage after a figure is the share that was judged, where "
        "it is not all."
    )
    if shown.exposures:
        text += (
            " *training*: of a set that a judge was trained on only what was held out is measured; "
            "*not trained on* are sets of known tasks, *unseen task* sets kept out altogether."
        )
    if shown.baselines:
        text += (
            " ▲ better and ▼ worse than the best baseline of the row, by a paired test of the "
            "first reading of each judge, with Holm's correction over the whole report."
        )
    if shown.people:
        text += f" *{shown.people[0]}*: one rater held against the others, the ceiling."
    return text


def _cell(figure: Figure | None, *, interval: bool = True) -> str:
    if figure is None or figure.value is None:
        return _DASH
    if not interval:
        return f"{figure.value:z.2f}"
    return _interval(figure.value, figure.low, figure.high)


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return _DASH
    if low is None or high is None:
        return f"{value:z.2f}"
    return f"{value:z.2f} [{low:z.2f}, {high:z.2f}]"


def _coverage(figure: Figure | None) -> str:
    if figure is None or not figure.asked or figure.judged == figure.asked:
        return ""
    return f" ({figure.judged / figure.asked:.0%})"


def _count(figure: Figure | None, wanted: bool) -> str:
    return f" ({_benchmarks(figure)})" if figure is not None and wanted else ""


def _benchmarks(found: Figure | Difference) -> str:
    """State how many benchmarks an aggregate covers."""
    return found.method.split()[2]


def _all_judged(metric: str, figures: Iterable[Figure | None]) -> bool:
    return metric == "coverage" and all(f is None or f.judged == f.asked for f in figures)


def _list(lines: Iterable[object]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _some(places: Sequence[str], most: int = 6) -> str:
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> str:
    """A table whose first `left` columns are words, the others figures."""
    marks = ["---" if place < left else "--:" for place in range(len(heads))]
    lines = [_line(heads), "|" + "|".join(marks) + "|", *map(_line, rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
