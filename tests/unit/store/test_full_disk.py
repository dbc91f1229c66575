"""A disk that is full in the middle of a line: nothing of it stays, and the next line is whole."""

import errno
import os

import pytest

from glider.store import journal


def test_a_line_that_is_cut_by_a_full_disk_is_taken_back(tmp_path, monkeypatch):
    file = journal.append_only(tmp_path / "journal.jsonl")
    journal.append_to(file, {"n": 1})
    real, left = os.write, [5]

    def nearly_full(descriptor, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken, left[0] = left[0], 0
        return real(descriptor, data[:taken])

    monkeypatch.setattr(journal.os, "write", nearly_full)
    with pytest.raises(OSError, match="No space"):
        journal.append_to(file, {"n": 2})
    monkeypatch.undo()
    journal.append_to(file, {"n": 3})
    os.close(file)
    assert (tmp_path / "journal.jsonl").read_text() == '{"n":1}\n{"n":3}\n'
