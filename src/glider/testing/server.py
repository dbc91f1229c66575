"""A fake OpenAI-compatible server that can be slow and can fail in eleven ways.

It replaces a model server, so that a client can be tested against a failing endpoint. It answers
at once or after a delay, and makes a share of its replies fail, the same ones for the same seed.
In a test:

    with FakeServer(answer='{"score": 4}', fault_rate=0.3, seed=7) as server:
        run_my_client(server.url)               # http://127.0.0.1:PORT/v1
        assert server.stats()["duplicates"] == 0

and from the command line:

    python -m glider.testing.server --port 0 --delay 0.05 --fault-rate 0.3 --seed 7

It is only a fake: no model, no streaming (400), no chunked requests (411), no TLS, and no address
except 127.0.0.1. It returns one choice whatever `n` is, and does not validate requests: it sends
a constant answer without parsing the request's JSON.

The convention to know: delay and faults affect only the two completion endpoints, so /health,
/v1/models and /stats always work. HTTP is handled by aiohttp.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

from glider.testing._http import HOST, listen, serve
from glider.testing._replies import (
    ALWAYS_ONLY,
    ALWAYS_ONLY_HELP,
    FAULT_HELP,
    FAULTS,
    NONSENSE,
    Answer,
    Desk,
    FaultPlan,
    Settings,
    check_always,
)

__all__ = ["ALWAYS_ONLY", "FAULTS", "NONSENSE", "Answer", "FakeServer", "FaultPlan"]

_START_S: Final = 30.0  # Maximum seconds to wait for a thread to start or a process to end.


class FakeServer:
    """An OpenAI-compatible server on loopback, used in a `with` block.

    Serves POST /v1/chat/completions and /v1/completions, GET /v1/models, /health and /stats.
    Each `with` starts afresh: new port, counters at zero, faults from the start of the seed.

    Args:
        answer: what the model says; a function gets the request's JSON, and is called on the
            server's thread. If it raises, the client gets a 500 and leaving the `with` raises
            the first such error.
        delay_s: wait before every completion, failing or not, in seconds.
        fault_rate: share of completions that fail, in [0, 1].
        faults: the kinds drawn, all equally likely; a subset of FAULTS.
        seed: determines, with the order of arrival, which requests fail and how (FaultPlan).
        always: one fault, of FAULTS or ALWAYS_ONLY, for every completion; overrides fault_rate.
            May be set while a server on a thread runs, to test how a client recovers.
        api_key: when given, completions and /v1/models with another key, or none, get a 401 at
            once; it is counted as "unauthorized".
        top_logprobs: logprobs in nats by token, e.g. {"4": -0.1, "5": -2.4}, for every digit of
            the answer when a request asks for logprobs. At most the request's own `top_logprobs`,
            and all if it has none (OpenAI would return none). A digit not in the table gets
            OpenAI's -9999.0; anything else gets 0.0.
        model: the model name in replies; None repeats the requested name.
        process: run in a separate process, so that the client under measurement has a core to
            itself. Needs a constant `answer`.

    Usage numbers are estimates, four to the token: prompt_tokens is the request body's bytes
    // 4 and completion_tokens the answer's characters // 4.
    """

    def __init__(
        self,
        *,
        answer: Answer = '{"score": 3}',
        delay_s: float = 0.0,
        fault_rate: float = 0.0,
        faults: Sequence[str] = FAULTS,
        seed: int = 0,
        always: str | None = None,
        api_key: str | None = None,
        top_logprobs: dict[str, float] | None = None,
        model: str | None = None,
        process: bool = False,
    ) -> None:
        if process and not isinstance(answer, str):
            raise ValueError("process=True needs a constant answer: a function cannot go there")
        self._settings = Settings(
            answer=answer,
            delay_s=delay_s,
            fault_rate=fault_rate,
            faults=tuple(faults),
            seed=seed,
            always=always,
            api_key=api_key,
            top_logprobs=top_logprobs,
            model=model,
        )
        self._process = process
        self._always = always
        self._port = 0
        self._desk: Desk | None = None
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] | None = None
        self._child: subprocess.Popen[str] | None = None
        self._final: dict[str, Any] | None = None

    @property
    def port(self) -> int:
        """The TCP port, on 127.0.0.1."""
        if self._port == 0:
            raise RuntimeError("not started: use `with FakeServer(...) as server`")
        return self._port

    @property
    def url(self) -> str:
        """The base URL for a client, http://127.0.0.1:PORT/v1."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def always(self) -> str | None:
        """The fault of every completion, or None."""
        return self._always

    @always.setter
    def always(self, name: str | None) -> None:
        check_always(name)
        if self._child is not None:
            raise RuntimeError("a server in its own process keeps the `always` it started with")
        self._always = name
        if self._desk is not None:
            self._desk.always = name

    def stats(self) -> dict[str, Any]:
        """Return the counters so far, or the totals after the `with` block. Same as /stats.

        requests: completions requested. Each is counted in exactly one of
            answered: good replies,
            faults: {name: count}, all names of FAULTS and ALWAYS_ONLY, counted when sent,
            refused: 400 because the fake does not support it (no JSON, stream),
            crashed: `answer` raised,
            abandoned: client left before the reply,
            in_hand: in progress.
        max_in_hand: the most in hand at any moment; 1 without a delay, since a reply then
            leaves before the next request is read.
        connections: connections that carried a completion; below `requests` when kept alive.
        request_ids: distinct x-request-id headers seen.
        duplicates: requests that repeat an earlier x-request-id.
        """
        if self._final is not None:
            return self._final
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_START_S)
        try:
            connection.request("GET", "/stats")
            stats = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return cast(dict[str, Any], stats)

    def __enter__(self) -> FakeServer:
        if self._thread is not None or self._child is not None:
            raise RuntimeError("this FakeServer is running already; make another one")
        self._final = None
        if self._process:
            self._start_process()
        else:
            self._start_thread()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        problem = self._end_process() if self._child is not None else self._end_thread()
        self._port = 0
        if problem is not None and exc is None:
            raise problem

    def _start_thread(self) -> None:
        desk = Desk(self._settings)
        desk.always = self._always
        listener = listen(0)
        self._port = listener.getsockname()[1]
        started: Future[Callable[[], object]] = Future()

        async def run() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            started.set_result(lambda: loop.call_soon_threadsafe(stop.set))
            await serve(desk, listener, stop)

        self._desk = desk
        self._thread = threading.Thread(
            target=lambda: asyncio.run(run()), name="glider-fake-server", daemon=True
        )
        self._thread.start()
        self._stop = started.result(_START_S)

    def _end_thread(self) -> Exception | None:
        if self._thread is None or self._stop is None or self._desk is None:
            return None
        self._stop()
        self._thread.join(_START_S)
        self._final = self._desk.stats()
        crash = self._desk.crash
        self._desk = self._thread = self._stop = None
        return crash

    def _start_process(self) -> None:
        settings = self._settings
        with tempfile.TemporaryDirectory(prefix="glider-fake-") as folder:
            answer_file = Path(folder, "answer.txt")
            # newline="" on both sides, or an answer with \r\n would change in transit.
            with answer_file.open("w", encoding="utf-8", errors="surrogatepass", newline="") as out:
                out.write(cast(str, settings.answer))
            options = [
                f"--answer-file={answer_file}",
                f"--delay={settings.delay_s!r}",
                f"--fault-rate={settings.fault_rate!r}",
                f"--faults={','.join(settings.faults)}",
                f"--seed={settings.seed}",
            ]
            if self._always is not None:
                options.append(f"--always={self._always}")
            if settings.api_key is not None:
                options.append(f"--api-key={settings.api_key}")
            if settings.model is not None:
                options.append(f"--model={settings.model}")
            if settings.top_logprobs is not None:
                options.append(f"--top-logprobs={json.dumps(settings.top_logprobs)}")
            child = subprocess.Popen(
                # The filter is for the day the package's __init__ imports this module: runpy
                # then warns that it runs it twice, which is harmless here.
                [
                    *(sys.executable, "-W", "ignore::RuntimeWarning:runpy"),
                    *("-m", "glider.testing.server", "--port=0", "--until-stdin-closes"),
                    *options,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                # The child must be able to import what this process imported, however it was found.
                env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                # Ctrl-C is for this process, which then stops the child by closing its stdin.
                start_new_session=True,
            )
            try:
                first = child.stdout.readline() if child.stdout is not None else ""
                found = re.fullmatch(r"listening on http://[0-9.]+:([0-9]+)\n", first)
                if found is None:
                    raise RuntimeError(f"fake server process did not start; it said {first!r}")
            except BaseException:
                child.kill()
                child.communicate()
                raise
        self._port = int(found[1])
        self._child = child

    def _end_process(self) -> Exception | None:
        child, self._child = self._child, None
        if child is None:
            return None
        try:
            said, _ = child.communicate(timeout=_START_S)  # Closing stdin stops it.
        except BaseException:
            child.kill()
            child.communicate()
            raise
        try:
            self._final = json.loads(said)
        except ValueError:
            return RuntimeError(
                f"fake server process ended before its time, with code {child.returncode}"
            )
        return None


def _options() -> argparse.ArgumentParser:
    lines = [f"  {name:<13} {text}" for name, text in FAULT_HELP.items()]
    lines += ["faults for --always only:"]
    lines += [f"  {name:<13} {text}" for name, text in ALWAYS_ONLY_HELP.items()]
    parser = argparse.ArgumentParser(
        prog="python -m glider.testing.server",
        description="A fake OpenAI-compatible server on 127.0.0.1, slow and faulty on request. "
        "Prints its address, serves until SIGTERM or SIGINT, then prints its counts as JSON.",
        epilog="\n".join(["faults:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default 8000)")
    parser.add_argument("--answer-file", type=Path, help="UTF-8 file with what the model says")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each completion")
    parser.add_argument("--fault-rate", type=float, default=0.0, help="share that fails, 0 to 1")
    parser.add_argument("--faults", default=",".join(FAULTS), help="kinds to draw from, by comma")
    parser.add_argument("--seed", type=int, default=0, help="settles which requests fail")
    parser.add_argument("--always", help="one fault for every completion")
    parser.add_argument("--api-key", help="the only key let in; a made-up one, it is no secret")
    parser.add_argument("--model", help="name in the replies (default: the one asked for)")
    parser.add_argument("--top-logprobs", type=json.loads, help='JSON, e.g. {"4": -0.1}')
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop then, too")
    return parser


async def _serve_here(settings: Settings, listener: socket.socket, watch_stdin: bool) -> Desk:
    """Serve in this process until a signal or, with `watch_stdin`, the end of stdin."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    desk = Desk(settings)

    def end(*_: object) -> None:
        loop.call_soon_threadsafe(stop.set)

    def wait_for_stdin() -> None:
        # os.read, since a thread blocked in sys.stdin would hold its lock at exit.
        while os.read(0, 4096):
            pass
        end()

    # Not loop.add_signal_handler, which Windows lacks.
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if watch_stdin:
        # A killed test run cannot clean up, but its pipe still closes.
        threading.Thread(target=wait_for_stdin, name="stdin", daemon=True).start()
    print(f"listening on http://{HOST}:{listener.getsockname()[1]}", flush=True)
    await serve(desk, listener, stop)
    return desk


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; see --help."""
    parser = _options()
    args = parser.parse_args(argv)
    answer = '{"score": 3}'
    try:
        if args.answer_file is not None:
            answer = args.answer_file.read_bytes().decode("utf-8", "surrogatepass")
        settings = Settings(
            answer=answer,
            delay_s=args.delay,
            fault_rate=args.fault_rate,
            faults=tuple(name for name in args.faults.split(",") if name),
            seed=args.seed,
            always=args.always,
            api_key=args.api_key,
            top_logprobs=args.top_logprobs,
            model=args.model,
        )
        listener = listen(args.port)
    except (ValueError, OSError, OverflowError) as exc:
        parser.error(str(exc))
    desk = asyncio.run(_serve_here(settings, listener, args.until_stdin_closes))
    try:
        print(json.dumps(desk.stats()), flush=True)
    except BrokenPipeError:
        # The parent process is gone. Redirect stdout, or Python flushes it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
