"""What happens around a server: its engine dies, its clock jumps, its disk is full, it is ended."""

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import cycle

import aiohttp
import pytest
from bounded import first_line, killed_after
from served import Engine, run, serving
from test_serve_policies import ASKED, config
from timed_engine import install

from glider.backends.openai_http import OpenAIBackend
from glider.serve.limits import KeyLimit
from glider.serve.verdict_log import LogSettings
from glider.store.run import samples

LAX = ASKED | {"policy": "lax", "reasons": "now"}


@contextmanager
def endpoint(folder, port=0, *words):
    """A model's server in a process of its own, and its port; it is killed at the end."""
    answer = folder / "answer.txt"
    answer.write_text('{"reasoning": "It says nine.", "highlights": [], "score": 5}')
    asked = ["--answer-file", answer, "--delay", 0.5, "--port", port, *words]
    with subprocess.Popen(
        [sys.executable, "-m", "glider.testing.server", *map(str, asked)],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield int(first_line(process).rpartition(":")[2])
        finally:
            process.kill()


def test_an_engine_that_is_killed_and_comes_back_is_an_error_in_between(tmp_path, monkeypatch):
    """In between, another at its address sends the key away."""
    monkeypatch.setattr("glider.backends.openai_http._REFUSED_S", 0.2)

    async def told(port, kill):
        backend = OpenAIBackend("m", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
        async with serving(backend, config=config()) as client:

            async def because(n=1):
                asked = (client.post("/v1/judge", LAX) for _ in range(n))
                return Counter(
                    [b["verdict"]["because"] for _, b, _ in await asyncio.gather(*asked)]
                )

            alive = await because(8)
            in_flight = asyncio.ensure_future(because(40))
            await asyncio.sleep(0.05)
            kill()
            ended, down = await in_flight, await because(8)
            with endpoint(tmp_path, port, "--api-key", "another"):
                refused = await because(8)
            await asyncio.sleep(0.3)
            with endpoint(tmp_path, port):
                back = await because(8)
            load = client.server.service.serving.lanes
            return alive, ended, down, refused, back, all(lane.idle for lane in load.values())

    first = endpoint(tmp_path)
    port = first.__enter__()
    alive, ended, down, refused, back, idle = run(told(port, lambda: first.__exit__(*[None] * 3)))
    assert alive == back == {"passed": 8} and down == refused == {"error": 8} and idle
    assert ended.total() == 40 and ended["error"] > 0 and set(ended) <= {"passed", "error"}


def test_a_wall_clock_that_jumps_changes_no_deadline_no_limit_and_no_log(tmp_path, monkeypatch):
    """Of a year forward or back, at each look at it."""
    jumps, real = cycle([365, -365, 0, 9000]), time.time

    class Jumping(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + timedelta(days=next(jumps))

    monkeypatch.setattr(time, "time", lambda: real() + 86400 * next(jumps))
    for module in ("serve.verdict_log", "store.folder", "store.manifest"):
        monkeypatch.setattr(f"glider.{module}.datetime", Jumping)
    log = LogSettings(folder=tmp_path / "log", hours=1)
    limits = {"default": KeyLimit(per_minute=12)}
    jumping = config().model_copy(update={"log": log, "limits": limits})

    async def told():
        async with serving(Engine(seconds=0.1, slow=5), config=jumping) as client:
            deadline = {"Glider-Deadline-Ms": "20000"}
            judged = [await client.post("/v1/judge", LAX, headers=deadline) for _ in range(10)]
            slow = LAX | {"input": "SLOW", "deadline_ms": 1500}
            began = time.monotonic()
            late = await client.post("/v1/judge", slow)
            took = time.monotonic() - began
            later = await client.post("/v1/judge", LAX | {"reasons": "later"})
            events = await client.get(
                f"/v1/judgments/{later[1]['id']}", headers={"Accept": "text/event-stream"}
            )
            rest = [await client.post("/v1/judge", LAX) for _ in range(10)]
            return judged, late, took, events[1], rest

    judged, late, took, events, rest = run(told())
    assert {body["verdict"]["because"] for _, body, _ in judged} == {"passed"}
    assert late[1]["verdict"]["because"] == "deadline" and took > 1
    assert events.count("event: judgment") == 1
    assert Counter(status for status, _, _ in rest)[429] >= 1
    assert {int(h["Retry-After"]) for status, _, h in rest if status == 429} <= set(range(1, 6))
    (folder,) = tmp_path.iterdir()
    judged_in_all = 12 + sum(status == 200 for status, _, _ in rest)
    assert len(list(samples(folder))) == judged_in_all


def test_a_log_that_is_to_begin_anew_on_a_full_disk_leaves_nothing_and_goes_on_later(tmp_path):
    """Of each verdict that cannot be written, no folder stays; when there is room, all are written."""
    log = LogSettings(folder=tmp_path / "log", rows=2)
    logged = config().model_copy(update={"log": log})
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def told():
        async with serving(config=logged) as client:

            async def because(n):
                found = [(await client.post("/v1/judge", LAX))[1] for _ in range(n)]
                return Counter(body["verdict"]["because"] for body in found)

            before = await because(2)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
            try:
                full = await because(20)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            folders = len(list(tmp_path.iterdir()))
            return before, full, folders, await because(3)

    before, full, folders, after = run(told())
    assert (before, full, after) == ({"passed": 2}, {"error": 20}, {"passed": 3})
    assert folders == 1
    assert sorted(len(list(samples(one))) for one in tmp_path.iterdir()) == [1, 2, 2]


SERVED = """\
criteria: [clarity]
log: {folder: log/served}
policies:
  all: {checks: [{criterion: clarity, block_below: 1}],
        on_block: block, on_abstain: ask, on_deadline: ask, on_error: ask}
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_under_load_ends_the_process_and_each_verdict_is_in_the_log_once(tmp_path, name):
    install(tmp_path / "plugin")
    (tmp_path / "serve.yaml").write_text(SERVED)
    paths = os.pathsep.join([str(tmp_path / "plugin"), *filter(None, sys.path)])
    words = ["serve", "-m", "timed/50", "--port", "0", "--config", "serve.yaml"]

    async def told(process, url):
        verdicts, ends, signalled = [], Counter(), asyncio.Event()

        async def ask(session, who):
            for n in range(10_000):
                body = {"policy": "all", "input": f"{who}/{n}", "output": "We open at nine."}
                try:
                    async with session.post(f"{url}/v1/judge", json=body) as answer:
                        ends[answer.status] += 1
                        if answer.status == 200:
                            verdicts.append((await answer.json())["verdict"] and body["input"])
                            if len(verdicts) > 60:
                                signalled.set()
                except aiohttp.ClientError:
                    ends["closed"] += 1
                    return

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            asking = [asyncio.ensure_future(ask(session, who)) for who in range(32)]
            await signalled.wait()
            process.send_signal(getattr(signal, name))
            process.send_signal(getattr(signal, name))  # twice is not another thing
            await asyncio.gather(*asking)
            code = await asyncio.to_thread(process.wait, 60)
        return verdicts, ends, code

    with subprocess.Popen(
        [sys.executable, "-m", "glider.cli.main", *words], cwd=tmp_path, text=True,
        stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths},
    ) as process:  # fmt: skip
        try:
            with killed_after(process):
                url = next(line for line in process.stderr if "serving" in line).split()[-1]
            verdicts, ends, code = run(told(process, url), 120)
            said = process.stderr.read()
        finally:
            process.kill()
    assert code == 0 and "Traceback" not in said and "fault" not in said, said
    assert set(ends) <= {200, 503, "closed"} and ends["closed"] == 32
    (folder,) = (tmp_path / "log").iterdir()
    logged = Counter(sample["input"] for _, sample in samples(folder))
    assert max(logged.values()) == 1
    assert set(verdicts) <= set(logged) and len(verdicts) == len(set(verdicts)) > 60
    # What was being answered when its connection was closed may be there as well.
    assert len(logged) <= len(verdicts) + 32
    assert re.search("stopping", said)
