"""A run without a judge: texts and criteria for people to label, and nothing else.

It is a run folder like any other, so everything about people's answers works on it: the page, what
comes in and goes out, and the report, which then compares people with one another alone.
"""

from collections.abc import Sequence
from pathlib import Path

from glider.core.criteria import Criterion
from glider.core.errors import CriterionError, DataError
from glider.core.samples import Sample
from glider.data.columns import sample_from
from glider.data.library import criteria_asked
from glider.data.own_criteria import criterion_of
from glider.data.rows import BadRow, content_hash_of, sampled
from glider.data.settings import RowSettings
from glider.data.table import OWN_CRITERION, open_table
from glider.store.manifest import NO_JUDGE, Manifest
from glider.store.run import RunFolder


def texts_run(
    data: str | Path,
    criteria: str | Criterion | Sequence[str | Criterion],
    run: Path,
    rows: RowSettings | None = None,
) -> int:
    """Make a run folder of the texts of a file, for people to label.

    Args:
        data: what `glider judge` reads, but standard input.
        criteria: as of `judge_file`; "record": each row brings its own.
        run: the folder to create.
        rows: which rows, and how their columns are named.

    Returns:
        The number of texts.

    Raises:
        DataError: a row cannot be used, or has more than two texts to compare.
        SetupError, CriterionError: the settings do not fit the file.
        RunError: `run` is not empty, or cannot be written.
    """
    how, data = rows or RowSettings(), str(data)
    asked = criteria_asked(criteria)
    table = open_table(data, how, () if asked else OWN_CRITERION)
    found: list[tuple[int, Sample, Criterion | None]] = []
    for row in sampled(table.rows, how.limit, how.seed):
        if isinstance(row, BadRow):
            raise row.error
        sample = sample_from(row, table.columns)
        own = None if asked else criterion_of(row)
        if not asked and own is None:
            raise CriterionError(
                f"{row.path}:{row.line}: the row has no criterion", hint="--criterion NAME"
            )
        if len(sample.judged) > 2:
            raise DataError("people compare two texts, not more", path=row.path, line=row.line)
        found.append((row.index, sample, own))
    manifest = Manifest.of(
        run_id=run.name,
        judge=NO_JUDGE,
        settings={"source": how.recorded()},
        criteria={c.name: c.content_id for c in asked} or {"(record)": ""},
        input_path=data,
        input_sha256=content_hash_of(data),
    )
    with RunFolder.create(run, manifest, asked) as folder:
        for index, sample, own in found:
            folder.record_sample(index, sample, own)
    return len(found)
