"""A review's report as Markdown, for the terminal and files, and its rows for the page."""

from collections.abc import Iterable, Sequence

from glider.review.results import AnsweredRecord, ReviewFigure, ReviewReport

_MOST_ITEMS = 10


def figure_text(one: ReviewFigure | None, *, percent: bool = False) -> str:
    """Format as `0.71 [0.60, 0.80]`, or a dash with the reason."""
    if one is None:
        return "–"
    if one.value is None:
        return f"– ({one.undefined})"
    value, *ends = (
        f"{100 * number:.0f} %" if percent else f"{number:.2f}"
        for number in (one.value, one.low, one.high)
        if number is not None
    )
    return f"{value} [{', '.join(ends)}]" if ends else value


def tables(report: ReviewReport) -> list[tuple[str, str, list[str], list[list[str]]]]:
    """Return title, note, headers and rows of every table with content."""
    return [table for table in _tables(report) if table[3]]


def _tables(report: ReviewReport) -> Iterable[tuple[str, str, list[str], list[list[str]]]]:
    rows = [
        [
            one.about,
            figure_text(one.yes, percent=True),
            figure_text(one.at_least_partly, percent=True),
            figure_text(one.any_people, percent=True),
            figure_text(one.alpha),
            f"{one.at_least_partly.n}",
            f"{one.at_least_partly.people}",
            f"{one.counts.get('cannot tell', 0)}",
        ]
        for one in report.verdicts
    ]
    if report.mean_agreement is not None and rows:
        mean = report.mean_agreement
        text = figure_text(mean, percent=True)
        rows.append(["mean of the three", "", text, "", "", str(mean.n), str(mean.people), ""])
    yield (
        "What people say of the judge" if report.mode != "synth" else "What people say of the data",
        "Share of people's verdicts, with 95 % intervals clustered by prompt; *any people*: "
        "clustered by prompt and by person. *Cannot tell* is left out. Alpha: Krippendorff's "
        "among people, ordinal.",
        ["right?", "yes", "yes or partly", "… any people", "alpha", "n", "people", "cannot tell"],
        rows,
    )
    yield _beside(report)
    yield (
        "Against the adjudicated answers",
        "Of the adjudicated items alone, which are those that people disagreed on.",
        ["", "same answer", "distance", "marks: word F1", "items"],
        [
            [
                one.who,
                figure_text(one.same, percent=True),
                figure_text(one.distance),
                figure_text(one.marks),
                str(one.same.n),
            ]
            for one in report.settled
        ],
    )
    found = report.alternative
    if report.beside and report.has_judge:
        said = f"Not made: {found.undefined}."
        if found.winning_rate is not None and found.advantage is not None:
            passed = "passed" if found.winning_rate >= 0.5 else "not passed"
            said = (
                f"Winning rate {found.winning_rate:.2f}, mean advantage probability "
                f"{found.advantage:.2f}: {passed} (passed from a winning rate of 0.5)."
            )
        yield (
            "Alternative-annotator test",
            f"{said} Calderon et al. 2025, epsilon {found.epsilon:g}; t test clustered by prompt, "
            "Benjamini-Yekutieli over people.",
            ["person", "judge as near or nearer", "person as near or nearer", "p", "adjusted",
             "judge wins", "items"],
            [
                [
                    one.person,
                    f"{one.judge_at_least_as_near:.2f}",
                    f"{one.person_at_least_as_near:.2f}",
                    f"{one.p:.3f}",
                    f"{one.p_adjusted:.3f}",
                    "yes" if one.judge_wins else "no",
                    str(one.n),
                ]
                for one in found.people
            ]
            or [["–", "", "", "", "", "", ""]],
        )  # fmt: skip
    yield (
        "What seeing the judge does",
        "Distances are between a person's score and the judge's, in steps of the scale.",
        ["", "mean", "answers", "people"],
        [[one.name, figure_text(one), str(one.n), str(one.people)] for one in report.pull],
    )
    yield (
        "People",
        "Nobody is left out for the way they answer; what looks like a pattern is said.",
        ["person", "answered", "verdicts", "skipped", "flagged", "median s", "marks an item",
         "commonest score", "same again", "remarks"],
        [
            [
                one.name,
                f"{one.answered} of {one.asked}",
                str(one.verdicts),
                str(one.skipped),
                str(one.flagged),
                "–" if one.median_seconds is None else f"{one.median_seconds:.0f}",
                f"{one.marks_per_item:.1f}",
                one.commonest,
                "–" if one.same_again is None else f"{100 * one.same_again:.0f} % of {one.repeats}",
                "; ".join(one.notes),
            ]
            for one in report.each_person
        ],
    )  # fmt: skip


def _beside(report: ReviewReport) -> tuple[str, str, list[str], list[list[str]]]:
    if not report.has_judge:
        return (
            "People beside one another",
            "Averaged over pairs of people, on the items that both answered.",
            ["measure", "people and people", "items"],
            [
                [f"{one.metric} ({one.better} is better)", figure_text(one.people),
                 str(one.people.n)]
                for one in report.beside
            ],
        )  # fmt: skip
    return (
        "The judge beside one more person",
        "On the same items: the judge against each person, and people against one another, "
        "averaged over pairs. The difference has the interval of the same resamples; where it "
        "holds 0, the judge cannot be told from one more person by this measure.",
        ["measure", "judge and people", "people and people", "judge less people", "items"],
        [
            [
                f"{one.metric} ({one.better} is better)",
                figure_text(one.judge),
                figure_text(one.people),
                figure_text(one.difference),
                str(max(one.judge.n, one.people.n)),
            ]
            for one in report.beside
        ],
    )


def markdown(report: ReviewReport, *, brief: bool = False) -> str:
    """Format the whole report; `brief` leaves out the items."""
    blocks = [
        "# What people say",
        f"{report.judge}, run {report.run_id}, {report.mode}. {len(report.people)} people gave "
        f"{report.answers} answers to {report.answered} of {report.drawn} items.",
    ]
    if report.beside:
        blocks[-1] += (
            f" Scores {report.scale}; alpha of own scores (Krippendorff, interval): "
            f"{figure_text(report.alpha)}."
        )
    if not report.verdicts and report.mode in ("verify", "compare"):
        blocks.append("Nobody has given a verdict yet: no share of agreement is claimed.")
    for title, note, heads, rows in tables(report):
        blocks += [f"## {title}", note, table(heads, rows)]
    if not brief:
        worst = worst_items(report)
        if worst:
            blocks += [
                f"## {worst_title(report)}",
                table(
                    ["item", "judge", "people", "spread"],
                    [
                        [
                            one.sample_id,
                            "–" if one.judge is None else f"{one.judge:g}",
                            ", ".join(f"{n} {v:g}" for n, v in one.scores.items()),
                            "–" if one.spread is None else f"{one.spread:g}",
                        ]
                        for one in worst
                    ],
                ),
            ]
    if report.notes:
        blocks += ["## To know", "\n".join(f"- {note}" for note in report.notes)]
    return "\n\n".join(blocks) + "\n"


def worst_title(report: ReviewReport) -> str:
    """Name the list of `worst_items`."""
    return "Where people and judge differ most" if report.has_judge else "Where people differ most"


def worst_items(report: ReviewReport, most: int = _MOST_ITEMS) -> list[AnsweredRecord]:
    """Sort items by the judge's distance, then by the people's spread; omit full agreement."""
    apart = [one for one in report.items if (one.off or 0) > 0 or (one.spread or 0) > 0]
    return sorted(apart, key=lambda one: (-(one.off or 0), -(one.spread or 0), one.id))[:most]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
