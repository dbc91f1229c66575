"""Which texts of an audit are not independent: those of the rows of a run, by the same rule."""

import json

import pytest

from glider.audit.shapes import pairs, singles
from glider.audit.subjects import subjects
from glider.data.library import load_criterion
from glider.data.settings import RowSettings
from glider.data.table import open_table


@pytest.mark.parametrize(
    ("shared", "n"),
    [
        (lambda k: {"input": f"q{k // 3}", "context": "c"}, 4),
        (lambda k: {"input": "q", "context": f"c{k // 6}"}, 2),
        (lambda k: {"input": "q", "context": "c"}, 12),  # a fixed instruction
        (lambda k: {}, 12),
    ],
)
def test_texts_of_one_input_and_context_are_resampled_together(tmp_path, shared, n):
    file = tmp_path / "rows.jsonl"
    rows = [{"id": str(k), "output": f"One. Two words, {k}."} | shared(k) for k in range(12)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = open_table(str(file), RowSettings())
    found, _ = subjects(table.rows, table.columns, [load_criterion("conciseness")])
    for each in (found, singles(found), pairs(found)):
        assert len(each) == 12
        assert len({subject.cluster for subject in each}) == n
