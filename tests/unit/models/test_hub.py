"""A model hub that cannot be reached is told at once, not after minutes of asking again."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

pytest.importorskip("transformers", reason="asks the hub through transformers")
pytest.importorskip("huggingface_hub", reason="asks the hub")

from huggingface_hub import constants

from glider.backends._torch import load
from glider.core.errors import ModelFileError
from glider.training.base_model import find_base, load_as_it_is, load_tokenizer


@pytest.fixture
def broken(monkeypatch):
    """An address that hangs up on whoever asks; gives what was asked for of a model."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(4096).split(b"\r\n")[0])

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield asked
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(30)


@pytest.mark.parametrize(
    "loads",
    [
        lambda name: load_tokenizer(find_base(name)),
        lambda name: load_as_it_is(find_base(name)),
        lambda name: load(name, revision=None, dtype="float32", device="cpu"),
    ],
    ids=["to train", "to ask", "to judge"],
)
def test_it_is_asked_once(broken, loads):
    with pytest.raises(ModelFileError, match="no model nobody/nothing on this machine, and the"):
        loads("nobody/nothing")
    # Once a process, the hub's client also looks up which programs call it.
    assert len([line for line in broken if b"nobody/nothing" in line]) == 1


COMMIT = "c0ffee" * 6 + "c0ff"


def test_a_training_is_of_the_commit_that_a_branch_stood_for(broken, monkeypatch, tmp_path):
    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            is_there = self.path == "/some/model/resolve/main/config.json"
            self.send_response(200 if is_there else 404)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", "2")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        template = (
            f"http://127.0.0.1:{hub.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        with monkeypatch.context() as patched:
            patched.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
            base = find_base("some/model")
            assert (base.source, base.name, base.revision) == ("some/model", "some/model", COMMIT)
            # Whoever loads it says that there is none.
            assert find_base("nobody/nothing").revision == "main"
        hub.shutdown()

    folder = tmp_path / "models--some--model"  # as the hub's client keeps what it fetched
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    kept = find_base("some/model")  # the hub hangs up
    assert (kept.source, kept.revision) == (str(folder / "snapshots" / COMMIT), COMMIT)
