"""The funnel as an HTML page: losses by stage, label noise and sample records."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from glider.pages.marks import excerpt
from glider.pages.page import render
from glider.review.words import figure_text
from glider.store.atomic import write_whole
from glider.store.journal import read_journal
from glider.store.manifest import read_manifest
from glider.synth.curation import Curation
from glider.synth.funnel import Funnel
from glider.synth.people import said_by_people, who_looked
from glider.synth.records import Judged, SynthManifest, SynthRecord, Text, later_readings
from glider.synth.steps import question_of

_MOST_RECORDS = 60
_MOST_CHARACTERS = 4000


def write_page(run: Path, out: Path | None = None, curation: Curation | None = None) -> Path:
    """Write the page of a synthesis, by default `funnel.html` in its folder.

    Args:
        curation: which kept records are left out.

    Raises:
        RunError: no synthesis, or the page cannot be written.
    """
    manifest = read_manifest(run, SynthManifest, "synthesis")
    curation = curation or Curation()
    funnel = Funnel(curation)
    shown: list[dict[str, Any]] = []
    later = later_readings(run)
    for record in read_journal(run / "records.jsonl", SynthRecord):
        funnel.count(record, later.get(record.number, ()))
        if curation.keeps(record) and len(shown) < _MOST_RECORDS:
            shown.append(_shown(record))
    said = said_by_people(run)
    page = render(
        "synth/page.html",
        title=f"Synthesis: {manifest.run_id}",
        facts={
            "Teacher": manifest.teacher,
            **({"Texts also by": ", ".join(manifest.writers)} if manifest.writers else {}),
            "Read blind by": ", ".join(manifest.verifiers) or "nobody",
            "Licence": manifest.licence,
            "Made": manifest.created_at[:10],
        },
        funnel=funnel,
        stages=_stages(funnel),
        lost=[
            {"stage": stage, "reason": reason, "n": n, "seen": funnel.examples[stage, reason]}
            for (stage, reason), n in funnel.lost.most_common()
        ],
        noise=[_noise(funnel, by) for by in funnel.verdicts],
        tokens=funnel.tokens // funnel.kept if funnel.kept else None,
        said=said,
        who=who_looked(said) if said else "",
        figure=partial(figure_text, percent=True),
        records=shown,
    )
    path = out or run / "funnel.html"
    write_whole(path, page)
    return path


def _stages(funnel: Funnel) -> list[dict[str, Any]]:
    left = funnel.left()
    most = max(1, left[0][1])
    return [{"name": name, "n": n, "width": round(100 * n / most, 1)} for name, n in left]


def _noise(funnel: Funnel, by: str) -> dict[str, Any]:
    kinds = funnel.kinds_read(by)
    return {
        "by": by,
        "n": sum(funnel.verdicts[by].values()),
        "verdicts": funnel.agreement(by),
        "kinds": {k: funnel.agreement(by, k)["agrees"] for k in kinds if len(kinds) > 1},
        "tables": list(_tables(funnel.confusion.get(by), "")),
        "people": list(_tables(funnel.against_people.get(by), "people's label, ")),
    }


def _tables(cells: "Counter[tuple[str, int, int]] | None", what: str) -> Iterator[dict[str, Any]]:
    cells = cells or Counter()
    for scale in sorted({scale for scale, _, _ in cells}):
        here = {(t, r): n for (s, t, r), n in cells.items() if s == scale}
        scores = sorted({score for cell in here for score in cell})
        yield {
            "scale": f"{what}{scale}",
            "scores": scores,
            "rows": [(t, [here.get((t, r), 0) for r in scores]) for t in scores],
        }


def _shown(record: SynthRecord) -> dict[str, Any]:
    draw = record.draw
    return {
        "number": record.number,
        "kind": draw.kind,
        "domain": draw.domain,
        "title": draw.criterion_group if draw.aspects else draw.criterion.heading,
        "fault": draw.fault,
        "source": draw.source,
        "texts": [_text(record, text) for text in record.texts],
    }


def _text(record: SynthRecord, text: Text) -> dict[str, Any]:
    criterion = record.criterion_of(text)
    return {
        "criterion": text.criterion,
        "question": question_of(record.draw, criterion),
        "levels": criterion.rubric.levels,
        "fields": _marked(text.material, text.right),
        "right": text.right,
        "wrong": text.wrong,
        "checks": text.checks,
        "target": text.target,
        "rewritten": text.rewritten,
    }


def _marked(material: Mapping[str, str], judged: Judged) -> dict[str, Markup]:
    return {
        name: excerpt(words, name, judged.highlights, _MOST_CHARACTERS)
        for name, words in material.items()
    }
