"""What a model's name means, by a table; nothing is fetched."""

import json
import os

import pytest
from small_models import write_adapter, write_gguf

from glider.backends import open_backend, provider_and_model
from glider.core.errors import ModelFileError, RunError, SetupError, UnknownName
from glider.models import receipts
from glider.models.receipts import file_sha256
from glider.models.resolve import resolve


def a_model(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def a_training(folder, result):
    (folder / "metrics.jsonl").parent.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").touch()
    found = {"folder": str(result.relative_to(folder)), "kind": "any", "base": "x", "metrics": {}}
    (folder / "result.json").write_text(json.dumps(found))
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_gguf(tmp_path / "own.gguf")
    write_adapter(tmp_path / "runs/mine/1-sft/model")
    a_training(tmp_path / "runs/mine", tmp_path / "runs/mine/1-sft/model")
    a_model(tmp_path / "runs/whole/2-apo/model")
    a_training(tmp_path / "runs/whole", tmp_path / "runs/whole/2-apo/model")
    write_adapter(tmp_path / "tuned/adapter")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind", "engine", "path", "adapter"),
    [
        ("glider-nano", "catalogue", "embedded", None, "nano"),
        ("nano", "catalogue", "embedded", None, "nano"),
        ("fast/nano", "catalogue", "embedded", None, "nano"),
        ("smollm2-135m-instruct", "catalogue", "embedded", None, None),
        ("embedded", "catalogue", "embedded", None, "nano"),
        ("embedded/smollm2-135m-instruct", "catalogue", "embedded", None, None),
        ("own.gguf", "gguf", "embedded", "own.gguf", None),
        ("hf/own.gguf", "gguf", "embedded", "own.gguf", None),
        ("runs/mine", "adapter", "embedded", "runs/mine/1-sft/model", "model"),
        ("runs/mine/1-sft/model", "adapter", "embedded", "runs/mine/1-sft/model", "model"),
        ("fast/runs/mine", "adapter", "embedded", "runs/mine/1-sft/model", "model"),
        ("tuned", "adapter", "embedded", "tuned/adapter", "adapter"),
        ("./tuned/adapter", "adapter", "embedded", "tuned/adapter", "adapter"),
        ("runs/whole", "folder", "hf", "runs/whole/2-apo/model", None),
        ("runs/whole/2-apo/model", "folder", "hf", "runs/whole/2-apo/model", None),
        ("hf/org/name@v1", "hub", "hf", None, None),
        ("org/name", "hub", "hf", None, None),
    ],
)
def test_names(here, name, kind, engine, path, adapter):
    found = resolve(name)
    assert (found.kind, found.engine) == (kind, engine)
    assert (found.path and str(found.path)) == path
    assert (found.adapter and found.adapter.name) == adapter
    if kind != "hub" and name.partition("/")[0] not in ("embedded", "hf", "fast"):
        assert provider_and_model(name) == (engine, name)


def test_a_folder_of_a_short_name_is_meant_before_the_catalogue(here):
    write_adapter(here / "nano")
    assert resolve("nano").kind == "adapter"
    assert resolve("glider-nano").kind == "catalogue"


def test_revisions_are_the_hub_s(here):
    assert resolve("org/name@v1") == resolve("hf/org/name", "v1")
    with pytest.raises(SetupError, match="belongs to a hub id"):
        resolve("own.gguf", "v1")


def test_what_is_no_model_is_told(here):
    with pytest.raises(UnknownName, match="did you mean 'glider-nano'"):
        resolve("glider-nono")
    with pytest.raises(UnknownName, match="hf/ORG/NAME"):
        resolve("/nowhere/at/all")
    with pytest.raises(ModelFileError, match=r"no model file gone\.gguf"):
        resolve("gone.gguf")
    (here / "runs/mine/result.json").unlink()
    for takes in (resolve, open_backend):
        with pytest.raises(RunError, match="no finished training"):
            takes("runs/mine")
    (here / "runs/mine/result.json").write_text('{"pairs": 3}')
    with pytest.raises(RunError, match="is no training"):
        resolve("runs/mine")
    with pytest.raises(SetupError, match="export FOLDER --to gguf"):
        resolve("runs/whole").gguf()


def test_a_mistyped_path_is_not_looked_for_on_the_network(here):
    for name in ("runs/gone", "runs"):
        with pytest.raises(UnknownName):
            open_backend(name)


def test_a_large_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("GLIDER_CACHE", str(tmp_path / "cache"))
    read = []
    hashed = receipts._hash
    monkeypatch.setattr(receipts, "_hash", lambda path: read.append(path) or hashed(path))
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(2 << 20))
    first = file_sha256(file)
    assert file_sha256(file) == first
    assert len(read) == 2  # changed a moment ago, it may change again in the same tick
    os.utime(file, (1e9, 1e9))
    assert [file_sha256(file) for _ in range(3)] == [first] * 3
    assert len(read) == 3
    # Damage that leaves size and time as they were is found where that is asked for.
    file.write_bytes(bytes(1 << 20) + b"x" + bytes((1 << 20) - 1))
    os.utime(file, (1e9, 1e9))
    assert file_sha256(file) == first
    second = file_sha256(file, verify=True)
    assert second != first and file_sha256(file) == second
    os.utime(file, (2e9 - 1e9 + 1, 1e9 + 1))
    assert file_sha256(file) == second
    assert len(read) == 5
    monkeypatch.setenv("GLIDER_CACHE", "/dev/null/no")
    assert file_sha256(file) == second
