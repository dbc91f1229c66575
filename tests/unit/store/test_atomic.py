"""A file that is written whole: the new text, or what stood there before."""

import os
import resource

import pytest

from glider.core.errors import RunError
from glider.store.atomic import write_whole


def test_the_text_its_folder_and_nothing_beside_it(tmp_path):
    path = tmp_path / "new/folder/page.html"
    write_whole(path, "half of a pair: \ud83d; a whole one: 😀")
    write_whole(path.with_name("other"), "")
    assert path.read_text("utf-8") == "half of a pair: ?; a whole one: 😀"
    assert sorted(p.name for p in path.parent.iterdir()) == ["other", "page.html"]


def test_a_full_disk_leaves_what_stood_there(tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        with pytest.raises(RunError, match=r"cannot write .*page\.html: File too large"):
            write_whole(path, "new and longer")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["folder", "file/page.html", "full"])
def test_places_that_take_no_text(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(RunError, match=f"cannot write .*{name}: "):
        write_whole(tmp_path / name, "text")
    assert (tmp_path / "file").read_text() == "mine"


def test_pipes_and_links_are_written_through(tmp_path):
    """`--markdown /dev/stdout` must not put a file in the place of the device."""
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(file)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "text")
        assert os.read(reader, 99) == b"text"
    finally:
        os.close(reader)
    write_whole(link, "text")
    file.write_text("older and longer")
    write_whole(link, "text")
    assert link.is_symlink()
    assert file.read_text() == "text"
