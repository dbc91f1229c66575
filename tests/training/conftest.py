"""What the tests of training share. They need torch and skip, each with its reason, without it."""

import os

import pytest
from tiny_models import WORDS_OF, build, make_tokenizer, preference, toy, write

os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Several threads wait by spinning: beside other jobs they are ten times slower than one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_phi(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny") / "tiny-phi3", "phi3")


@pytest.fixture(scope="session")
def tiny_of(tmp_path_factory, tiny_phi):
    """Shipped recipe to a tiny model of its base's architecture."""
    llama = build(tmp_path_factory.mktemp("tiny") / "tiny-llama3", "llama3")
    return {"glider-3.8b": tiny_phi, "judge-8b-lora": llama}


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


@pytest.fixture
def data(tmp_path):
    """A folder of 40 examples to train on and 40 to measure on."""
    folder = tmp_path / "data"
    write(folder / "train.jsonl.gz", toy(40))
    write(folder / "dev.jsonl.gz", toy(40, start=1000))
    pairs = [
        preference(n, f"{n % 5 + 1}", f"{(n + 2) % 5 + 1}", text=WORDS_OF[n % 5 + 1])
        for n in range(24)
    ]
    write(folder / "preferences-train.jsonl.gz", pairs[:16])
    write(folder / "preferences-dev.jsonl.gz", pairs[16:])
    return folder
