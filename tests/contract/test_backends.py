"""Every backend keeps the contract. A backend joins by a class with a fixture of its own."""

import math
import time

import pytest

from glider.backends.openai_http import OpenAIBackend
from glider.backends.scripted import ScriptedBackend
from glider.core.generation import Generation
from glider.core.judgments import Usage
from glider.testing.contract import COUNT, BackendContract, ask
from glider.testing.server import FakeServer


class TestScripted(BackendContract):
    @pytest.fixture
    def backend(self):
        def script(request):
            if request.messages[0].content == COUNT:
                text = request.opening + "1\n2"
                return Generation(text=text, finish="length", usage=Usage(completion_tokens=1))
            return "2"

        logprobs = {"1": math.log(0.25), "2": math.log(0.5), "3": -math.inf}
        with ScriptedBackend(script, label_logprobs=logprobs) as backend:
            yield backend


def model(body):
    """A model that keeps to a grammar and likes the number 2."""
    grammar = body.get("structured_outputs") or body.get("grammar")
    return "yes" if grammar else "2"


class TestOpenAI(BackendContract):
    @pytest.fixture(params=["auto", "vllm", "llama.cpp"])
    def grammar(self, request):
        return request.param

    @pytest.fixture
    def server(self):
        logprobs = {"2": math.log(0.5), "1": math.log(0.25), "3": math.log(0.125)}
        with FakeServer(answer=model, top_logprobs=logprobs) as server:
            yield server

    @pytest.fixture
    def backend(self, server, grammar):
        with OpenAIBackend("m", base_url=server.url, grammar=grammar) as backend:
            yield backend

    def test_max_tokens_is_respected(self, backend, server):
        server.always = "cut_off"  # The fake counts no tokens; it cuts when told to.
        super().test_max_tokens_is_respected(backend)

    def test_hanging_up_frees_the_connection(self, grammar):
        with (
            FakeServer(answer=model, delay_s=30) as server,
            OpenAIBackend("m", base_url=server.url, grammar=grammar) as backend,
        ):
            future = backend.submit(ask("Anybody there?"))
            while server.stats()["in_hand"] == 0:
                time.sleep(0.01)
            assert future.cancel()
            while server.stats()["abandoned"] == 0:
                time.sleep(0.01)
