"""A real vLLM, as a server and in a process of ours: grammar, probabilities, the scores of `hf`.

A job of its own: it needs vLLM in an environment of its own, with Glider's own needs beside it
(platformdirs), and some minutes of processor time.

    VLLM=/path/to/venv/bin/vllm pytest tests/apps/test_vllm.py -m slow
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import pytest

from glider import Judge, Sample, load_criterion
from glider.backends import open_backend
from glider.core.generation import Decoding, GenerationRequest, Labels, Message
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
         "--enforce-eager", "--structured-outputs-config.backend", "guidance", "--enable-lora",
         "--max-lora-rank", "32", "--lora-modules", f"nano={resolve('glider-nano').adapter}"],
        env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 800
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
    try:
        process.wait(60)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
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


def test_an_adapter_answers_to_its_name(server, texts):
    """As the merged model does; the base answers otherwise."""
    merged = outcomes(open_backend("hf/glider-nano", dtype="float32"), texts, explain=False)
    there = outcomes(over_http(server, "nano"), texts, explain=False)
    base = outcomes(over_http(server, "base"), texts, explain=False)
    for one, other in zip(merged, there, strict=True):
        assert other.score_probs == pytest.approx(one.score_probs, abs=2e-2)
    assert any(
        abs(other.expected - plain.expected) > 0.1 for other, plain in zip(there, base, strict=True)
    )


OFFLINE = """
import json, sys
from concurrent.futures import wait
from glider import Judge, Sample, load_criterion
from glider.backends import open_backend
from glider.core.generation import Decoding, GenerationRequest, Labels, Message
from glider.formats import make_format

def main():
    model, lines = sys.argv[1], json.load(sys.stdin)
    texts = [Sample.of(r["output"], input=r["input"], context=r["context"]) for r in lines]
    criterion = load_criterion("faithfulness")
    with open_backend(
        "vllm/" + model, dtype="float32", enforce_eager=True, max_model_len=4096, max_num_seqs=8
    ) as backend:
        for explain in (False, True):
            judge = Judge(backend, format=make_format("nano", explain=explain))
            found = judge.judge_many([(text, criterion) for text in texts])
            print(json.dumps([outcome.model_dump(mode="json") for outcome in found]), flush=True)
        # One label begins another, so a second token is needed to tell them apart.
        labels = Labels(texts=("1", "2", "10"), after="Score: ")
        asked = GenerationRequest(
            id="t", messages=(Message("user", "Score this from 1 to 10."),), opening="Score: ",
            labels=labels, decoding=Decoding(max_tokens=1),
        )
        print(json.dumps(dict(backend.submit(asked).result(120).label_logprobs)), flush=True)
        long = GenerationRequest(
            id="l", messages=(Message("user", "no more! " * 5000),), decoding=Decoding(max_tokens=5)
        )
        print(json.dumps(backend.submit(long).exception(60).code), flush=True)
        drawn = [
            GenerationRequest(
                id=str(n), messages=(Message("user", "Tell of the sea. " * 40 * (n + 1)),),
                decoding=Decoding(max_tokens=8, temperature=0.8, seed=n),
            )
            for n in range(8)
        ]
        print(json.dumps([list(one.adjusted) for one in backend.generate(drawn)]), flush=True)
        endless = GenerationRequest(
            id="e", messages=(Message("user", "Count to a million."),),
            decoding=Decoding(max_tokens=3000),
        )
        futures = [backend.submit(endless) for _ in range(8)]
        print(json.dumps([future.cancel() for future in futures]), flush=True)
        wait(futures, 60)
        print(json.dumps(len(backend.submit(asked).result(60).text)), flush=True)

if __name__ == "__main__":
    main()
"""


def test_the_engine_in_a_process_of_ours_scores_as_hf_and_quotes_verbatim(texts, tmp_path):
    program = tmp_path / "offline.py"
    program.write_text(OFFLINE)
    lines = files("glider.demo").joinpath("samples.jsonl").read_text("utf-8").splitlines()[:6]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [Path(VLLM).parent / "python", program, base_folder()],
        input=f"[{','.join(lines)}]", capture_output=True, text=True, timeout=900,
        env=os.environ | {"PYTHONPATH": str(root / "src"), "VLLM_CPU_KVCACHE_SPACE": "1",
                          "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines() if line[:1] in '[{"0123456789']
    bare, explained, labels, code, adjusted, cancelled, after = told
    # On a CPU vLLM's engine ends at a seed of one request's own.
    assert adjusted == [["seed"]] * 8
    here = outcomes(open_backend(f"hf/{base_folder()}", dtype="float32"), texts, explain=False)
    for one, other in zip(here, bare, strict=True):
        probs = {int(level): p for level, p in other["score_probs"].items()}
        assert probs == pytest.approx(one.score_probs, abs=2e-3)
        assert other["mass"] == pytest.approx(one.mass, abs=2e-3)
        assert other["judge"].startswith("vllm/")
    assert {outcome["kind"] for outcome in explained} == {"judgment"}
    assert {h["match"] for outcome in explained for h in outcome["highlights"]} == {"exact"}
    assert all(outcome["score_probs"] and outcome["mass"] is None for outcome in explained)
    with open_backend(f"hf/{base_folder()}", dtype="float32") as hf:
        asked = GenerationRequest(
            id="t", messages=(Message("user", "Score this from 1 to 10."),), opening="Score: ",
            labels=Labels(texts=("1", "2", "10"), after="Score: "), decoding=Decoding(max_tokens=1),
        )  # fmt: skip
        same = hf.submit(asked).result(120).label_logprobs
    assert labels == pytest.approx(dict(same), abs=2e-2)
    assert (code, cancelled, after) == ("prompt_too_long", [True] * 8, after)
    assert after > len("Score: ")
