"""A server of ours on loopback, with a scripted engine that takes its time."""

import asyncio
import math
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager

import aiohttp

from glider import Judge
from glider.backends.base import settle
from glider.backends.scripted import ScriptedBackend
from glider.judging.settings import ModelSettings
from glider.serve.keys import Keys
from glider.serve.server import Server
from glider.serve.service import ServedJudge, Serving, bound_policies
from glider.serve.settings import Config, ServeSettings


class Engine(ScriptedBackend):
    """Answers each request after a while; a text with SLOW in it after a long one."""

    def __init__(self, seconds=0.0, slow=3.0, answer=None, mass=0.9):
        super().__init__(self._answered, label_logprobs={})
        self.seconds, self.slow, self.answer, self.mass = seconds, slow, answer, mass
        self.error, self.cancelled, self.begun = None, 0, 0

    def _answered(self, request):
        if self.error or self.answer:
            return self.error or self.answer
        score = f"Score: {request.labels.texts[-2]}"
        bare = request.decoding.max_tokens <= 8
        return score if bare else f'{score}\nQuotes:\n- "nine"\nReason: It says nine.'

    def submit(self, request):
        inner = super().submit(request)
        if request.labels and inner.exception() is None:
            n = len(request.labels.texts)
            probs = [2 if k == n - 2 else 1 for k in range(n)]
            told = {t: math.log(self.mass * p / sum(probs))
                    for t, p in zip(request.labels.texts, probs, strict=True)}  # fmt: skip
            object.__setattr__(inner.result(), "label_logprobs", told)
        self.begun += 1
        future = Future()
        words = "".join(message.content for message in request.messages)
        timer = threading.Timer(
            self.slow if "SLOW" in words else self.seconds,
            lambda: settle(future, inner.exception() or inner.result()),
        )
        timer.daemon = True

        def done(future):
            if future.cancelled():
                self.cancelled += 1
                timer.cancel()

        future.add_done_callback(done)
        timer.start()
        return future


class Client:
    """Asks one server."""

    def __init__(self, server, session):
        self.server, self.session = server, session
        self.url = f"http://127.0.0.1:{server.port}"

    async def post(self, path, body=None, **more):
        more |= {} if body is None else {"json": body}
        async with self.session.post(self.url + path, **more) as answer:
            return answer.status, await answer.json(), answer.headers

    async def get(self, path, **more):
        async with self.session.get(self.url + path, **more) as answer:
            text = await answer.text()
            return answer.status, text, answer.headers


@asynccontextmanager
async def serving(engine=None, *, keys=None, config=None, file=None, **more):
    """A server and a client for it; both end with the block."""
    engine = engine if engine is not None else Engine()
    config = config or Config.of(ModelSettings())
    settings = ServeSettings(**{"port": 0, "stop_within_s": 0.5, "config": file} | more)
    server = Server(settings, ModelSettings())
    judge = ServedJudge("glider", Judge(engine), config.bounds)
    judges = {"glider": judge}
    await server.start(Serving(config, judges, Keys(keys or {}), bound_policies(config, judges)))
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(server, session)
    finally:
        await server.stop()


def run(what, seconds=60):
    """Run a test's coroutine, with a bound."""
    return asyncio.run(asyncio.wait_for(what, seconds))
