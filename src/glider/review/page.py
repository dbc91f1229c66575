"""A review as one HTML page: the tables, and the largest disagreements side by side."""

from glider.core.judgments import Highlight, Judgment, Span
from glider.pages.marks import marked
from glider.pages.page import render
from glider.pages.words import date
from glider.review.begin import Review
from glider.review.results import AnsweredRecord, ReviewReport
from glider.review.words import figure_text, tables, worst_items, worst_title

_MOST = 20


def page(report: ReviewReport, review: Review) -> str:
    """Return the whole page."""
    return render(
        "review/page.html",
        title="What people say of this judge" if report.has_judge else "What people say",
        facts={
            "Judge": report.judge,
            "Run": report.run_id,
            "Mode": report.mode,
            "People": ", ".join(report.people),
            "Items": f"{report.answered} of {report.drawn} answered",
            "Alpha of own scores": figure_text(report.alpha),
            "Date": date(report.made_at),
        },
        report=report,
        tables=tables(report),
        worst_title=worst_title(report),
        worst=[_shown(one, review) for one in worst_items(report, _MOST)],
    )


def _shown(one: AnsweredRecord, review: Review) -> dict[str, object]:
    item = review.items[one.id]
    outcome = item.outcome
    people = [
        {
            "name": name,
            "score": f"{one.scores[name]:g}" if name in one.scores else "–",
            "note": one.notes.get(name, ""),
            "verdicts": one.verdicts.get(name, {}),
            "texts": [
                (field.name, marked(field.text, field.name, _marks(one.marks.get(name, []))))
                for field in item.sample.judged
            ],
        }
        for name in sorted({*one.scores, *one.questions})
    ]
    people += [
        {
            "name": f"{name}, adjudicated",
            "score": f"{value:g}",
            "note": "",
            "verdicts": {},
            "texts": [
                (field.name, marked(field.text, field.name, _marks(one.adjudicated_marks[name])))
                for field in item.sample.judged
                if name in one.adjudicated_marks
            ],
        }
        for name, value in one.adjudicated.items()
    ]
    said = isinstance(outcome, Judgment)
    return {
        "record": one,
        "question": item.criterion.heading,
        "told": [(field.name, field.text) for field in item.sample.told],
        "judge": outcome
        and {
            "score": f"{one.judge:g}",
            "reasoning": (outcome.reasoning or "") if isinstance(outcome, Judgment) else "",
            "texts": [
                (field.name, marked(field.text, field.name, outcome.highlights if said else ()))  # type: ignore[union-attr]
                for field in item.sample.judged
            ],
        },
        "people": people,
    }


def _marks(spans: list[list[object]]) -> list[Highlight]:
    return [
        Highlight(phrase="", match="exact", spans=(Span(field=f, start=a, end=b),))  # type: ignore[arg-type]
        for f, a, b in spans
    ]
