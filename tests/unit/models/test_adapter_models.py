"""Adapters as models: merged once into the cache, made again when anything they rest on changes."""

import json
import resource
import signal
from dataclasses import replace

import pytest
from small_models import write_adapter, write_gguf

from glider.backends import provider_and_model
from glider.core.errors import ModelFileError, UnknownName
from glider.models import catalog
from glider.models.adapters import sha256
from glider.models.catalog import AdapterModel, GgufModel, find, is_local
from glider.models.fetch import sha256_of
from glider.models.gguf_header import read_header


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache that has the base "small" already, an adapter "own" of it, which is the default."""
    monkeypatch.setenv("GLIDER_CACHE", str(tmp_path / "cache"))
    small = GgufModel(
        name="small", sources=(), sha256="5" * 64, requantise="q8_0", licence="Apache-2.0",
        size_bytes=1, kept_bytes=1,
    )  # fmt: skip
    folder = tmp_path / "cache/models/small"
    folder.mkdir(parents=True)
    path = write_gguf(folder / "small.q8_0.gguf", kind="Q8_0")
    (folder / "small.q8_0.json").write_text(
        json.dumps({"source_sha256": small.sha256, "sha256": sha256_of(path)})
    )
    shipped = write_adapter(tmp_path / "package/own")
    own = AdapterModel(
        name="own", base="small", folder=shipped, sha256=sha256(shipped), requantise="q8_0",
        licence="Apache-2.0",
    )  # fmt: skip
    monkeypatch.setitem(catalog.CATALOG, "small", small)
    monkeypatch.setitem(catalog.CATALOG, "own", own)
    monkeypatch.setattr(catalog, "DEFAULT", "own")
    return tmp_path / "cache/models"


class Told(list):
    """Remembers what it was told; tells whether anything was made."""

    def __call__(self, what, done, total):
        self.append(what)

    @property
    def made(self):
        return any("preparing weights" in what for what in self)


def test_a_shipped_adapter_is_merged_once(cache):
    first, again = Told(), Told()
    file = find("own", first)
    assert first.made and file.path == cache / "own/own.q8_0.gguf"
    assert file.sha256 == sha256_of(file.path) != find("small").sha256
    assert read_header(file.path)["tokenizer.chat_template"] == "{{ messages[0]['content'] }}"
    assert find("own", again) == file and not again
    assert sorted(p.name for p in file.path.parent.iterdir()) == ["own.q8_0.gguf", "own.q8_0.json"]
    receipt = json.loads((cache / "own/own.q8_0.json").read_text())
    assert receipt["source_sha256"] == "5" * 64 + "+" + catalog.CATALOG["own"].sha256


def test_a_damaged_merge_is_made_again(cache):
    file = find("own")
    with file.path.open("r+b") as stream:
        stream.seek(-8, 2)
        stream.write(b"scratch!")
    told = Told()
    assert find("own", told) == file and told.made
    assert sha256_of(file.path) == file.sha256


def test_a_new_base_or_adapter_is_merged_anew(cache, tmp_path, monkeypatch):
    before = find("own")
    before.hf_folder.mkdir(parents=True)
    other = write_adapter(tmp_path / "package/own", seed=8)
    monkeypatch.setitem(
        catalog.CATALOG, "own", replace(catalog.CATALOG["own"], sha256=sha256(other))
    )
    after = find("own")
    assert after.path == before.path and after.sha256 != before.sha256
    assert not before.hf_folder.exists()  # nobody will ask for the old weights again


def test_the_base_is_not_needed_once_merged(cache):
    file = find("own")
    for path in (cache / "small").iterdir():
        path.unlink()
    assert find("own") == file


def test_an_adapter_that_is_not_the_pinned_one_is_refused(cache, tmp_path):
    write_adapter(tmp_path / "package/own", seed=8)
    with pytest.raises(ModelFileError, match=r"adapter of own is damaged.*again"):
        find("own")
    assert not (cache / "own").exists()


def test_an_adapter_on_an_adapter(cache, tmp_path):
    folder = write_adapter(tmp_path / "runs/mine/adapter", seed=8, base_model_name_or_path="own")
    file = find(str(folder))
    assert file.name == "mine"  # not "model", which every training has
    assert (cache / "own/own.q8_0.gguf").is_file()
    assert file.sha256 not in (find("own").sha256, find("small").sha256)


@pytest.mark.parametrize(
    ("said", "base"),
    [
        ("own", "own"),
        ("/home/me/.cache/glider/models/own.0123456789ab.bf16", "own"),
        (r"C:\cache\models\own.0123456789ab.bf16", "own"),
        ("small", "small"),
        ("somebody/another-model", "small"),  # the default's own; merging checks shapes
        ("", "small"),
    ],
)
def test_the_base_of_a_user_s_adapter(cache, tmp_path, said, base):
    folder = write_adapter(tmp_path / "mine", base_model_name_or_path=said)
    assert catalog.user_adapter(folder).base == base


def test_a_user_s_adapter_trained_again_takes_the_old_one_s_place(cache, tmp_path):
    folder = write_adapter(tmp_path / "mine")
    before = find(str(folder))
    write_adapter(folder, seed=8)
    after = find(str(folder))
    assert after.path == before.path and after.sha256 != before.sha256
    elsewhere = find(str(write_adapter(tmp_path / "other/mine", seed=8)))
    assert elsewhere.sha256 == after.sha256 and elsewhere.path != after.path


def test_an_adapter_brings_the_form_it_was_trained_in(cache, tmp_path):
    folder = write_adapter(tmp_path / "my-glider")
    assert find(str(folder)).trained_format is None
    (folder / "glider.json").write_text('{"format": "nano", "order": "reason-first"}')
    assert find(str(folder)).trained_format == {"format": "nano", "order": "reason-first"}
    (folder / "glider.json").write_text('{"format": "nano", "reason_words": 60}')
    assert find(str(folder)).trained_format == {"format": "nano", "reason_words": "60"}
    for damaged in ("[", '{"reason_words": "many"}', '{"reason_words": 0}'):
        (folder / "glider.json").write_text(damaged)
        with pytest.raises(ModelFileError, match=r"glider.json is damaged"):
            find(str(folder))


def test_a_full_disk_leaves_nothing_half_written(cache):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # A file may not grow past 10 kB: writing fails as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(ModelFileError, match=r"cannot store the model.*GLIDER_CACHE"):
            find("own")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert list((cache / "own").iterdir()) == []
    assert find("own").path.is_file()


def test_paths_and_names(cache, tmp_path, monkeypatch):
    folder = write_adapter(tmp_path / "runs/mine")
    assert is_local("own") and is_local(str(folder)) and is_local("x.gguf")
    assert not is_local(str(tmp_path)) and not is_local("org/name")
    monkeypatch.chdir(tmp_path)
    for name, found in {
        "embedded": ("embedded", ""),
        "embedded/own": ("embedded", "own"),
        "embedded/runs/mine": ("embedded", "runs/mine"),
        "runs/mine": ("embedded", "runs/mine"),
        "./runs/mine": ("embedded", "./runs/mine"),
        "m.gguf": ("embedded", "m.gguf"),
        "/a/b.gguf": ("embedded", "/a/b.gguf"),
        "fast/m.gguf": ("fast", "m.gguf"),
        "fast/own": ("fast", "own"),
        "hf/org/name": ("hf", "org/name"),
        "openai/gpt": ("openai", "gpt"),
    }.items():
        assert provider_and_model(name) == found, name
    with pytest.raises(UnknownName, match="an adapter's folder"):
        find("owm")
