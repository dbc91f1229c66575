"""lm-evaluation-harness: judge the samples of an evaluation, and add the scores to its files.

lm-eval has no judges. `lm_eval --log_samples --output_path out` writes what was answered; this adds
to each sample `glider_CRITERION` (null where the judgment failed) with the outcome under `glider`,
and to the results mean, standard error and number of failures, which lm-eval's tables then show.
"""

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glider.core.errors import BadRecord, DataError
from glider.integrations.shared import Criteria, CriteriaJudge, JudgeLike, Reply
from glider.store.atomic import write_json, write_json_lines

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[^_]+)\.jsonl")


def judge_samples(
    path: str | Path,
    criteria: Criteria,
    judge: JudgeLike = "embedded",
    maps: Mapping[str, str] | None = None,
) -> list[list[Reply]]:
    """Judge every sample of a file `samples_TASK_DATE.jsonl` and rewrite it with what came of it.

    The file `results_DATE.json` beside it, if there is one, gets the figures. Both are replaced
    whole, or not at all; judging again replaces the scores.

    Args:
        maps: further fields, from the task's document: `{"context": "doc.passage"}`.

    Returns:
        For each sample, in order, a reply for each criterion.

    Raises:
        DataError: no such file, or none of lm-eval's.
    """
    path = Path(path)
    named = _NAME.fullmatch(path.name)
    if named is None:
        raise DataError("a file of samples is called samples_TASK_DATE.jsonl", path=str(path))
    asked = CriteriaJudge(criteria, judge, preset="lm-eval", maps=maps)
    rows = _rows(path)
    replies = asked.ask_all(rows)
    for row, row_replies in zip(rows, replies, strict=True):
        names = [_metric(reply) for reply in row_replies]
        row["metrics"] = list(dict.fromkeys([*row.get("metrics", ()), *names]))
        row |= {_metric(reply): reply.points for reply in row_replies}
        row["glider"] = {reply.criterion.name: reply.record for reply in row_replies}
    write_json_lines(path, rows)
    results = path.with_name(f"results_{named['date']}.json")
    if results.exists():
        _add_figures(results, named["task"], rows, replies)
    return replies


def _metric(reply: Reply) -> str:
    return f"glider_{reply.criterion.name}"


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        # Not splitlines: a text may hold one of Unicode's other line ends.
        lines = path.read_text("utf-8").removesuffix("\n").split("\n")
    except OSError as exc:
        raise DataError(f"cannot be read: {exc.strerror}", path=str(path)) from exc
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as exc:
            raise BadRecord(f"not JSON: {exc}", path=str(path), line=number) from exc
        if not isinstance(row, dict) or "resps" not in row:
            raise BadRecord("no sample of lm-eval", path=str(path), line=number)
        rows.append(row)
    return rows


def _add_figures(
    path: Path, task: str, rows: list[dict[str, Any]], replies: list[list[Reply]]
) -> None:
    """Add figures in lm-eval's own form: `METRIC,FILTER`, `METRIC_stderr,FILTER`."""
    results = json.loads(path.read_text("utf-8"))
    of_task = results["results"].setdefault(task, {})
    better = results.setdefault("higher_is_better", {}).setdefault(task, {})
    for kept in dict.fromkeys(str(row.get("filter", "none")) for row in rows):
        of_filter = [
            each
            for row, each in zip(rows, replies, strict=True)
            if row.get("filter", "none") == kept
        ]
        for criterion_replies in zip(*of_filter, strict=True):
            metric = _metric(criterion_replies[0])
            judged = [each.points for each in criterion_replies if each.points is not None]
            for figure in ("", "_stderr", "_failed"):
                of_task.pop(f"{metric}{figure},{kept}", None)
            better[metric] = True
            of_task[f"{metric}_failed,{kept}"] = len(criterion_replies) - len(judged)
            if judged:
                of_task[f"{metric},{kept}"] = statistics.fmean(judged)
            if len(judged) > 1:
                error = statistics.stdev(judged) / len(judged) ** 0.5
                of_task[f"{metric}_stderr,{kept}"] = error
    write_json(path, results)
