"""A real vLLM server: grammar, probabilities, and the scores of `hf`.

A job of its own: it needs vLLM in an environment of its own, and a minute of processor time.

    VLLM=/path/to/venv/bin/vllm pytest tests/apps/test_vllm.py -m slow
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from importlib.resources import files

import pytest

from glider import Judge, Sample, load_criterion
from glider.backends import open_backend
from glider.formats import make_format
from glider.models.catalog import CATALOG
from glider.models.resolve import resolve

VLLM = os.environ.get("VLLM")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not VLLM, reason="VLLM names no vllm"),
]


def base_folder():
    return resolve(CATALOG["glider-nano"].base).torch().source


@pytest.fixture(scope="module")
def texts():
    lines = files("glider.demo").joinpath("samples.jsonl").read_text("utf-8").splitlines()[:6]
    records = map(json.loads, lines)
    return [Sample.of(r["output"], input=r["input"], context=r["context"]) for r in records]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """vLLM with the base of glider-nano, in fp32."""
    base = base_folder()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("vllm") / "log").open("w+")
    environment = os.environ | {
        "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "WARNING",
    }  # fmt: skip
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen(
        [VLLM, "serve", base, "--served-model-name", "base", "--dtype", "float32", "--port",
         str(port), "--host", "127.0.0.1", "--max-model-len", "4096", "--max-num-seqs", "8",
         "--enforce-eager", "--structured-outputs-config.backend", "guidance"],
        env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 1500
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                break
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                log.seek(0)
                pytest.fail(log.read()[-3000:])
            time.sleep(1)
    yield f"http://127.0.0.1:{port}/v1"
    os.killpg(process.pid, signal.SIGTERM)
    process.wait(60)
    log.close()


def outcomes(backend, texts, **options):
    criterion = load_criterion("faithfulness")
    with Judge(backend, format=make_format("nano", **options)) as judge:
        return list(judge.judge_many([(text, criterion) for text in texts]))


def over_http(server, model):
    return open_backend(f"openai/{model}", base_url=server, api_key="-", grammar="vllm")


def test_scores_are_those_of_hf(server, texts):
    """The same weights in fp32, bare scores: the same probabilities."""
    here = outcomes(open_backend(f"hf/{base_folder()}", dtype="float32"), texts, explain=False)
    there = outcomes(over_http(server, "base"), texts, explain=False)
    for one, other in zip(here, there, strict=True):
        assert other.score_probs == pytest.approx(one.score_probs, abs=2e-3)
        assert other.mass == pytest.approx(one.mass, abs=2e-3)
        assert other.mass < 0.99


def test_the_grammar_holds_and_quotes_are_verbatim(server, texts):
    found = outcomes(over_http(server, "base"), texts, explain=True)
    assert [outcome.kind for outcome in found] == ["judgment"] * len(texts)
    highlights = [h for outcome in found for h in outcome.highlights]
    assert highlights
    assert {h.match for h in highlights} == {"exact"}
    assert not any(outcome.repaired or outcome.adjusted for outcome in found)
    # The grammar has ruled out all but the levels, so how likely any of them is is not known.
    assert all(outcome.score_probs and outcome.mass is None for outcome in found)
