"""The review page, served for a test: in this process, or in one that can be killed."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager

from aiohttp import web
from bounded import first_line

from glider.review.answers import AnswerBook
from glider.review.server import links, make_app


@contextmanager
def serving(review, port=0):
    """Person to link; the server ends with the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def wait(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)

    async def start(app):
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        return runner

    with AnswerBook(review.run, review.plan.everybody) as book:
        tokens = links(review.run, review.plan.everybody)
        runner = wait(start(make_app(review.plan, review.items, book, tokens)))
        at = runner.addresses[0][1]
        try:
            yield {name: f"http://127.0.0.1:{at}/#{token}" for name, token in tokens.items()}
        finally:
            wait(runner.cleanup())
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


@contextmanager
def process(run, *flags, port):
    """`glider review RUN` in a process of its own; ready when its links are printed."""
    command = [sys.executable, "-m", "glider.cli.main", "review", str(run), "--port", str(port)]
    started = subprocess.Popen(
        [*command, *map(str, flags)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield started, first_line(started)
    finally:
        started.kill()
        started.wait(30)
        started.stdout.close()
        started.stderr.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(link, path, body=None, *, headers=()):
    """Status and body of a request as the page makes it."""
    address, _, token = link.partition("#")
    request = urllib.request.Request(
        address + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", **dict(headers)},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answered:
            return answered.status, json.loads(answered.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def blind(link, visit, *, score=3, id=None, **others):
    """Give an own answer to a visit."""
    content = ask(link, f"api/visit/{visit}")[1]["content"]
    body = {"id": id or uuid.uuid4().hex, "visit": visit, "content": content, "stage": "blind",
            "score": score, **others}  # fmt: skip
    return ask(link, "api/answer", body)
