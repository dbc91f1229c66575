"""Write a run as one self-contained HTML page: it opens from disk and makes no request.

The page holds every outcome; figures and cards are plain HTML (`page.html`), the table and the
detail view are drawn by `report.js` from JSON blocks (`data.py`). Each sample's texts, reasonings
and raw answers are embedded up to a stated budget, in row order; later rows are listed without
them, and the page says so. Nothing here asks a model or changes a run.

All text of a run is other people's: it reaches the page escaped, as JSON that cannot end its
block, and is drawn as text nodes under a policy that allows this page's one script and no request.
Where the journal has several outcomes for one row and criterion (and pair), the last one counts.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from glider.data.clusters import Clusters
from glider.pages.page import stream
from glider.pages.words import count, date
from glider.report.cards import cards_of
from glider.report.data import PageData
from glider.report.failures import FAILURE_HELP, NO_HELP, REMARKS, failure_title
from glider.report.planted import RULE
from glider.report.summary import stored_summary
from glider.store.atomic import replacing
from glider.store.manifest import Manifest
from glider.store.run import load_manifest, samples

TEXT_BUDGET_BYTES = 40_000_000
"""Most that the embedded texts, reasonings and raw answers may take of the page."""


def build_report(run: Path, out: Path, *, text_budget: int = TEXT_BUDGET_BYTES) -> None:
    """Write the report of a run.

    Holds one line of figures per outcome and the embedded texts in memory (about 0.2 GB for
    100,000 outcomes), never the whole run.

    Args:
        run: folder with `manifest.json`, `criteria.json`, `journal.jsonl`, `samples.jsonl`, and
            `summary.json` where there is one: its figures are shown as they are. A run that it
            does not call finished gets a notice.
        out: the page; replaced as a whole once it is complete.
        text_budget: bytes of embedded texts, reasonings and raw answers.

    Raises:
        RunError: not a run folder, its summary is damaged, or the page cannot be written.
        BadRecord: a line of the run that cannot be read. A last line cut by a crash is left out.
    """
    manifest = load_manifest(run)
    data = PageData(run, text_budget)
    summary = stored_summary(run)
    stored = summary.get("criteria", {})
    tallies = data.tallies.by_criterion
    clusters = Clusters.of(samples(run))
    figures = {name: stored.get(name) or tally.figures(clusters) for name, tally in tallies.items()}
    pieces = stream(
        "report/page.html",
        title=manifest.run_id,
        facts=_facts(manifest, data.n_rows),
        scripts=("report/report.js",),
        manifest=manifest,
        settings=list(_flat(manifest.model_dump())),
        unfinished=None if summary.get("finished") else len(data.rows),
        # What came through standard input is gone, so nothing can go on with it.
        run=shlex.quote(str(run)) if manifest.input_sha256 else None,
        asked=sum(row["asked"] for row in figures.values()),
        judged=sum(row["judged"] for row in figures.values()),
        cards=cards_of(data, figures, clusters),
        reasons=data.tallies.reasons,
        remarks=data.tallies.remarks,
        remark_titles=REMARKS,
        failure_title=failure_title,
        help_for=lambda key: FAILURE_HELP.get(key.partition("/")[2], ("", *NO_HELP))[1:],
        planted_rule=RULE,
        data=data,
    )
    with replacing(out) as file:
        for piece in pieces:
            file.write(piece.encode(errors="replace"))


def _facts(manifest: Manifest, n_rows: int) -> dict[str, str]:
    model, _, format = manifest.judge.rpartition(" ")
    return {
        "Model": model,
        "Format": format,
        "Date": date(manifest.created_at, time=True),
        "Input": Path(manifest.input_path).name,
        "Rows": count(n_rows),
    }


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            plain = inner if isinstance(inner, str) else json.dumps(inner, ensure_ascii=False)
            yield f"{prefix}{key}", plain
