"""The catalogue against a real package index on loopback and small real GGUF files."""

import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import gguf
import numpy as np
import pytest

from glider.backends import open_backend
from glider.core.errors import ModelFileError, UnknownName
from glider.models import catalog
from glider.models.catalog import GgufModel, find
from glider.models.fetch import Wheels, sha256_of
from glider.models.gguf_header import context_length, control_tokens, read_header
from glider.models.requantise import requantise

WEIGHTS = np.random.default_rng(7).normal(size=(4, 64)).astype(np.float32)


def write_gguf(path):
    """A GGUF file with one quantised and one float tensor, and a small vocabulary."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(2048)
    writer.add_token_list(["<|start|>", "a", "naïve", "<tool>"])
    writer.add_token_types([3, 1, 1, 4])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_1)
    q4 = gguf.GGMLQuantizationType.Q4_1
    writer.add_tensor("w", gguf.quants.quantize(WEIGHTS, q4), raw_dtype=q4)
    writer.add_tensor("norm", np.ones(64, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index with one wheel in it; `.served` lists what was asked for."""
    wheel = tmp_path / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(write_gguf(tmp_path / "original.gguf"), "tiny/model.gguf")

    class Index(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.served.append(self.path)
            if self.path == "/simple/tiny-model/":
                body = f'<a href="../../files/{wheel.name}#sha256=x">{wheel.name}</a>'.encode()
            elif self.path == f"/files/{wheel.name}":
                body = wheel.read_bytes()
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    original = tmp_path / "original.gguf"
    model = GgufModel(
        name="tiny", sources=(Wheels(("tiny-model",), "1.0", "tiny/model.gguf"),),
        sha256=sha256_of(original), size_bytes=original.stat().st_size,
        requantise="q8_0", kept_bytes=1000, licence="Apache-2.0",
    )  # fmt: skip
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        server.served = []
        server.model = model
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.delenv("UV_INDEX_URL", raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/simple/")
        monkeypatch.setenv("GLIDER_CACHE", str(tmp_path / "cache"))
        monkeypatch.setitem(catalog.CATALOG, "tiny", model)
        yield server
        server.shutdown()


def test_a_model_is_fetched_once_checked_and_requantised(index):
    told = []
    file = find("tiny", lambda what, done, total: told.append((what, done, total)))
    assert file.sha256 == sha256_of(file.path)
    assert any("Apache-2.0" in what and done == total for what, done, total in told)
    (tensor, norm) = gguf.GGUFReader(file.path).tensors
    assert tensor.tensor_type == gguf.GGMLQuantizationType.Q8_0
    assert norm.tensor_type == gguf.GGMLQuantizationType.F32
    # Q8_0 adds nearly nothing to what Q4_1 lost.
    q4 = gguf.GGMLQuantizationType.Q4_1
    original = gguf.quants.dequantize(gguf.quants.quantize(WEIGHTS, q4), q4)
    kept = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    assert np.abs(kept - original).max() < 0.02
    asked = list(index.served)
    assert find("tiny") == file
    assert index.served == asked


def test_a_damaged_file_is_fetched_again(index):
    file = find("tiny")
    with file.path.open("r+b") as stream:
        stream.seek(-8, 2)
        stream.write(b"scratch!")
    assert sha256_of(file.path) != file.sha256
    assert find("tiny") == file
    assert sha256_of(file.path) == file.sha256


def test_a_file_that_is_not_the_pinned_one_is_refused(index, monkeypatch):
    monkeypatch.setitem(catalog.CATALOG, "tiny", replace(index.model, sha256="0" * 64))
    with pytest.raises(ModelFileError, match="another file came"):
        find("tiny")
    assert list(catalog.cache_dir().rglob("*.gguf*")) == []


def test_a_receipt_of_0_1_which_names_the_wheel_is_known(index, monkeypatch):
    file = find("tiny")
    receipt = file.path.with_suffix(".json")
    receipt.write_text(receipt.read_text().replace(index.model.sha256, "5" * 64))
    monkeypatch.setitem(catalog._BY_WHEEL, "5" * 64, index.model.sha256)
    index.served.clear()
    assert find("tiny") == file and index.served == []


def test_no_room_is_told_before_anything_is_fetched(index, monkeypatch):
    model = replace(index.model, kept_bytes=10**18)
    monkeypatch.setitem(catalog.CATALOG, "tiny", model)
    with pytest.raises(ModelFileError, match=r"no room for tiny .* takes 1000000000.00 GB"):
        find("tiny")
    assert index.served == []


def test_what_came_before_a_break_is_gone_on_with_and_no_trace_is_left(index, monkeypatch):
    def no_room(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("glider.models.requantise.requantise", no_room)
        with pytest.raises(ModelFileError, match="No space left"):
            find("tiny")
    asked = list(index.served)
    file = find("tiny")
    assert index.served == asked  # the whole file was there already
    left = sorted(path.name for path in file.path.parent.iterdir())
    assert left == ["tiny.q8_0.gguf", "tiny.q8_0.json"]


def test_of_two_processes_one_fetches_and_the_other_waits(index):
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(find, ["tiny", "tiny"])
    assert first == second
    assert len([path for path in index.served if path.startswith("/files/")]) == 1


def test_one_matrix_that_a_file_stores_twice_is_kept_once(tmp_path):
    """Of the output's, which is stored in more bits, everything is made."""
    writer = gguf.GGUFWriter(tmp_path / "twice.gguf", "qwen2")
    for name, kind in (("output.weight", "Q8_0"), ("token_embd.weight", "Q4_1"), ("w", "Q4_1")):
        type_ = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quants.quantize(WEIGHTS, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    requantise(tmp_path / "twice.gguf", tmp_path / "once.gguf", "q8_0", lambda *_: None, tied=True)
    kept = {t.name: t for t in gguf.GGUFReader(tmp_path / "once.gguf").tensors}
    assert kept.keys() == {"token_embd.weight", "w"}
    best = gguf.quants.quantize(WEIGHTS, gguf.GGMLQuantizationType.Q8_0)
    assert np.array_equal(kept["token_embd.weight"].data, best)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:9/simple", "cannot fetch tiny .*tiny-model 1.0"),
        ("{index}/nothing", "cannot fetch"),
    ],
)
def test_no_index_is_a_sentence_with_a_way_out(index, monkeypatch, url, problem):
    monkeypatch.setenv(
        "PIP_INDEX_URL", url.replace("{index}", f"http://127.0.0.1:{index.server_port}")
    )
    with pytest.raises(ModelFileError, match=problem) as caught:
        find("tiny")
    assert "--model PATH.gguf" in str(caught.value)


def test_names_and_paths(tmp_path):
    path = write_gguf(tmp_path / "mine.gguf")
    assert find(str(path)).name == "mine"
    with pytest.raises(ModelFileError, match="no model file"):
        find(str(tmp_path / "gone.gguf"))
    with pytest.raises(UnknownName, match="did you mean 'smollm2-135m-instruct'"):
        find("smollm2-135m")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("nope", "; known"),
        ("runs/gone", "; known"),
        ("glider-nono", "; did you mean 'embedded/glider-nano'? Known"),
        ("opnai/fake", "; did you mean 'openai/fake'? Known"),
    ],
)
def test_a_model_that_is_none_says_what_a_model_is(name, meant):
    with pytest.raises(UnknownName) as caught:
        open_backend(name)
    assert caught.value.message.startswith(f"no model called {name!r}{meant}: embedded/")
    assert "a folder or .gguf file that is there" in str(caught.value.hint)


def test_headers(tmp_path):
    header = read_header(write_gguf(tmp_path / "m.gguf"))
    assert header["general.architecture"] == "llama"
    assert context_length(header) == 2048
    assert control_tokens(header) == ("<|start|>", "<tool>")


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"GGUF\x03\x00\x00\x00", b"GGUF" + b"\xff" * 40]
)
def test_what_is_no_model_is_named(tmp_path, content):
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match="m.gguf"):
        read_header(path)
