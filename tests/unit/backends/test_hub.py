"""A model hub that cannot be reached is told at once, not after minutes of asking again."""

import socket
import threading

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

        thread = threading.Thread(target=hang_up)
        thread.start()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield asked
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


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
