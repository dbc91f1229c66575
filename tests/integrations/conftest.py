"""The same questions to every host: a judge behind an endpoint on loopback, some texts spoilt.

`asked` is the endpoint: it gives a text the level that it names ("level 4") and quotes that; a text
with BROKEN in it gets an answer that nobody can read. `shown` notes for the table in
docs/integrations.md what a test has seen; `recipe` runs the host's block of that page.
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from importlib.metadata import version
from pathlib import Path

import pytest

from glider import Judge
from glider.backends.base import Limits, settle
from glider.backends.scripted import ScriptedBackend
from glider.testing.server import NONSENSE, FakeServer

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))
PAGE = ROOT / "docs/integrations.md"
JUDGE = "openai/judge"
BROKEN = "BROKEN 🦩"
PROPERTIES = ("failure", "coverage", "spans", "queue", "recipe")
# Each host's own switches: no telemetry, no look-ups elsewhere, no tracing.
os.environ |= {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_API_KEY": "none",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_GENAI_EVAL_MAX_WORKERS": "32",
    "MLFLOW_GENAI_EVAL_SKIP_SCORER_VALIDATION": "true",
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
}
_SHOWN: dict[str, str] = {}
_AWAY: list[str] = []


def text(level):
    """A text that gets this level, with characters outside the basic plane before the quote."""
    return f"🦩🦩🏽‍🚀 This is level {level}."


def quoted(record, of):
    """The judged text at the first highlight's offsets."""
    (span,) = record["highlights"][0]["spans"]
    return of[span["start"] : span["end"]]


def _answer(request):
    prompt = request["messages"][-1]["content"]
    return _judged(prompt.rsplit("<output>", 1)[-1].rsplit("</output>", 1)[0])


def _judged(output):
    found = re.search(r"level (\d)", output)
    if "BROKEN" in output or found is None:
        return NONSENSE
    said = {"reasoning": f"It says {found[0]}.", "highlights": [found[0]], "score": int(found[1])}
    return json.dumps(said)


@pytest.fixture(scope="session")
def asked():
    with FakeServer(answer=_answer) as server:
        before = dict(os.environ)
        os.environ |= {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none"}
        yield server
        os.environ.clear()
        os.environ.update(before)


class Gathering(ScriptedBackend):
    """Answers nobody before 32 wait; so a host that asks one after the other gets no answer."""

    def __init__(self):
        super().__init__(lambda _: _judged("level 3"))
        self.limits = Limits(in_flight=64)
        self.id = "openai/gathering"
        self.waiting = []

    def submit(self, request):
        done, future = super().submit(request), Future()
        with self._lock:
            self.waiting.append((future, done.result()))
            gathered = self.waiting if len(self.waiting) == 32 else []
        for waiting, answer in gathered:
            settle(waiting, answer)
        return future


@pytest.fixture
def gathering():
    """A judge that answers when 32 calls wait in its queue."""
    with Judge(Gathering()) as judge:
        yield judge


@pytest.fixture(scope="session")
def serve():
    """Runs `glider serve` on a thread, with a scripted engine that tells probabilities."""
    from served import Engine, serving  # of the tests beside this folder

    stop, threads = Future(), []

    def begin(engine=None, **more):
        started = Future()

        async def until_stopped():
            async with serving(engine or Engine(), **more) as client:
                started.set_result(client.url)
                await asyncio.wrap_future(stop)

        threads.append(threading.Thread(target=lambda: asyncio.run(until_stopped()), daemon=True))
        threads[-1].start()
        return started.result(60)

    yield begin
    stop.set_result(None)
    for thread in threads:
        thread.join(60)


@pytest.fixture(scope="session")
def served(serve):
    """The address of a running `glider serve`."""
    return serve()


@pytest.fixture(autouse=True)
def _nothing_leaves_this_machine(monkeypatch):
    """No connection and no look-up of a name elsewhere, also none that its caller swallows."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def local(host):
        return host in ("localhost", "::1", None, b"localhost") or str(host).startswith("127.")

    def guarded(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not local(address[0]):
            _AWAY.append(str(address))
            raise OSError(f"a test wants to reach {address}")
        return connect(self, address)

    def looked_up(host, *args, **more):
        if not local(host):
            _AWAY.append(str(host))
            raise OSError(f"a test wants to reach {host}")
        return look_up(host, *args, **more)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    _AWAY.clear()
    yield
    assert _AWAY == []


@pytest.fixture
def shown():
    """Notes what was seen, for the table; the last line of a test, so that it has passed."""

    def note(what, words):
        assert what in PROPERTIES
        _SHOWN[what] = words

    return note


def block(heading, language="python"):
    """The block of a host in docs/integrations.md."""
    section = rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)"
    (text,) = re.findall(section, PAGE.read_text("utf-8"), re.M | re.S)
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)[0]


@pytest.fixture
def recipe(tmp_path):
    """Runs a host's block in a folder as a user would, with the default model.

    Returns what it prints, its lines, and the seconds from its start to its end.
    """

    def run(heading, *command, name="block.py", files=(), codes=(0,)):
        for file, data in {name: block(heading).encode(), **dict(files)}.items():
            (tmp_path / file).write_bytes(data)
        began = time.monotonic()
        done = subprocess.run(
            command or [sys.executable, name],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=800,
        )
        took = time.monotonic() - began
        if "cannot fetch" in done.stdout + done.stderr:
            pytest.skip("the model cannot be had here")
        assert done.returncode in codes, done.stdout[-3000:] + done.stderr[-3000:]
        lines = len([line for line in block(heading).splitlines() if line.strip()])
        return done.stdout, lines, took

    return run


def pytest_sessionfinish(session, exitstatus):
    if told := os.environ.get("GLIDER_SHOWN"):
        package = os.environ["GLIDER_HOST_PACKAGE"]
        known = {"version": os.environ.get("GLIDER_HOST_VERSION") or version(package)}
        Path(told).write_text(json.dumps(known | {"shown": _SHOWN}), "utf-8")
