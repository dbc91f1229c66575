"""Can anything that is sent to `glider serve` make it fail, hang or die?

    python benchmarks/serve_fuzz.py --seconds 3600

Random and spoilt requests to every route of a real server in a process of its own: bodies that are
nearly right or no JSON at all, too large, packed or said to be; other methods, paths, headers and
lengths; keys that are wrong; streams that are not; clients that drip, never read, or go at any
moment. Ends with exit code 1 if there was a status of 500, an answer that did not come, or the
server died or was not itself afterwards; what was sent is then in the result.

A request that is whole must be answered within `--patience` seconds, and one that is not must be
answered or closed by then.
"""

import argparse
import asyncio
import base64
import copy
import gzip
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from common import HERE, PEERS, facts, ours_environment, parser, save, settings, table

sys.path[:0] = [str(HERE.parent / "tests"), str(PEERS)]

from load_generator import memory_mb  # noqa: E402
from serve_bodies import BODIES, spoilt  # noqa: E402
from serve_fuzzed import KEY  # noqa: E402

_ID = re.compile(rb'"id": "([^"]+)"')
_KEPT = 20
"""Requests that went wrong, to show."""
_GETS = ["/v1/models", "/v1/criteria", "/v1/policies", "/openapi.json", "/health", "/ready",
         "/load", "/metrics", "/v1/judgments/none", "/v1/stream", "/nothing",
         "/v1/judgments/%F0%9F", "/v1/../health", "//", "/v1/judge?policy=lax&x=%00"]  # fmt: skip
_METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE", "get", "P\u00d6ST"]
_HEADERS = {
    "Content-Type": ["application/json", "application/json; charset=utf-16", "text/plain", ";/"],
    "Content-Encoding": ["gzip", "deflate", "br", "zstd", "identity", "rot13"],
    "Glider-Deadline-Ms": ["1", "0", "-5", "nan", "inf", "1e400", "5000", "soon", "1_0", "9" * 400],
    "Glider-Reasons": ["1", "true", "yes", ""],
    "Accept": ["text/event-stream", "*/*", "nonsense"],
    "Authorization": ["Bearer ", "Basic x", "Bearer \u00e9\u00ff", "x" * 9000],
    "Expect": ["100-continue", "200-ok"],
    "Origin": ["http://evil.example", "null", ""],
    "Upgrade": ["websocket", "h2c"],
    "Connection": ["Upgrade", "close", "keep-alive", "nonsense"],
    "Sec-WebSocket-Version": ["13", "99", "x"],
    "Sec-WebSocket-Key": ["dGhlIHNhbXBsZSBub25jZQ==", "x"],
    "Sec-WebSocket-Extensions": ["permessage-deflate; server_max_window_bits=99", "x"],
    "Transfer-Encoding": ["chunked", "gzip, chunked", "nonsense"],
    "Content-Length": ["0", "-1", "7", "99999999999999999999", "x"],
    "traceparent": ["00-0-0-0", "\u00ff"],
    "X-Long": ["x" * 9000],
}  # fmt: skip
_SOCKET = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip
_OPENINGS = [{"policy": "lax", "first": 20}, {"policy": "strict", "reasons": "now"}, {}]
_PIECES = [{"text": "We open at nine. "}, {"text": "x" * 300}, {"text": "", "end": True},
           {"text": "SLOW and more", "end": True}]  # fmt: skip


@dataclass
class Found:
    """What came back."""

    counts: Counter[str] = field(default_factory=Counter)
    """By kind of request and how it ended: a status, `closed`, `left`, or `nothing`."""
    wrong: list[dict[str, Any]] = field(default_factory=list)
    n_wrong: int = 0
    ids: list[str] = field(default_factory=list)
    """Of reasons that come later."""

    def went_wrong(self, what: str, kind: str, sent: bytes, seconds: float = 0.0) -> None:
        """Keep it and how long it took, unless there are many."""
        self.n_wrong += 1
        if len(self.wrong) < _KEPT:
            kept = base64.b64encode(sent[:4000]).decode()
            self.wrong.append(
                {"what": what, "kind": kind, "seconds": round(seconds, 3), "at": datetime.now(UTC)
                 .isoformat(timespec="seconds"), "base64": kept, "bytes": len(sent)}
            )  # fmt: skip


# ---- requests


@dataclass
class Request:
    """What is sent, and whether an answer is due."""

    kind: str
    data: bytes
    whole: bool = True
    """False where the server may wait for more of it."""


def drawn(draw: random.Random, found: Found) -> Request:
    """Draw a request."""
    kinds = [_nearly_right, _bytes, _headers, _get, _stream]
    return draw.choices(kinds, weights=[55, 18, 15, 10, 2])[0](draw, found)


def _nearly_right(draw: random.Random, found: Found) -> Request:
    path, body = draw.choice(BODIES)
    sent = spoilt(body, draw) if draw.random() < 0.9 else copy.deepcopy(body)
    if draw.random() < 0.02 and isinstance(sent, dict):
        sent["input"] = "SLOW"
    return Request("nearly right", _http("POST", path, _json(sent)))


def _bytes(draw: random.Random, found: Found) -> Request:
    path, body = draw.choice(BODIES)
    data, headers = bytearray(_json(body)), dict[str, str]()
    match draw.randrange(7):
        case 0:
            for _ in range(draw.randint(1, 5)):
                data[draw.randrange(len(data))] = draw.randrange(256)
        case 1:
            del data[draw.randrange(len(data)) :]
        case 2:
            data = bytearray(draw.randbytes(draw.randrange(2000)))
        case 3:
            data = bytearray(b"[" * draw.choice([50, 500, 100_000]))
        case 4:
            data = bytearray(_json(body | {"output": "y" * draw.choice([19_000, 30_000, 300_000])}))
        case 5:
            data, headers = bytearray(gzip.compress(bytes(data))), {"Content-Encoding": "gzip"}
            if draw.random() < 0.7:
                data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        case _:
            packed = gzip.compress(b" " * draw.choice([1000, 3_000_000]))
            data, headers = bytearray(packed), {"Content-Encoding": "gzip"}
    return Request("bytes", _http("POST", path, bytes(data), headers))


def _headers(draw: random.Random, found: Found) -> Request:
    path, body = draw.choice(BODIES)
    names = draw.sample(list(_HEADERS), draw.randint(1, 4))
    headers = {name: draw.choice(_HEADERS[name]) for name in names}
    method = draw.choice(_METHODS) if draw.random() < 0.3 else "POST"
    if draw.random() < 0.2:
        path = draw.choice(_GETS)
    # Another length or encoding than the body has leaves the server waiting, rightly.
    whole = not {"Content-Length", "Transfer-Encoding", "Upgrade", "Expect"} & set(names)
    return Request("headers", _http(method, path, _json(body), headers), whole and method == "POST")


def _get(draw: random.Random, found: Found) -> Request:
    path = draw.choice(_GETS)
    if found.ids and draw.random() < 0.5:
        path = f"/v1/judgments/{draw.choice(found.ids)}"
    headers = {"Accept": "text/event-stream"} if draw.random() < 0.3 else {}
    return Request("get", _http("GET", path, b"", headers))


def _stream(draw: random.Random, found: Found) -> Request:
    """An upgrade and what follows it; the frames are masked with zeros, so not changed by it."""
    frames = [_json(_perhaps_spoilt(draw.choice(_OPENINGS), draw))]
    frames += [_json(_perhaps_spoilt(draw.choice(_PIECES), draw)) for _ in range(draw.randrange(6))]
    data = b"".join(_frame(draw, frame) for frame in frames)
    if draw.random() < 0.2:
        data += draw.randbytes(draw.randrange(200))
    return Request("stream", _http("GET", "/v1/stream", b"", _SOCKET) + data, whole=False)


def _perhaps_spoilt(body: dict[str, Any], draw: random.Random) -> Any:
    return spoilt(body, draw) if body and draw.random() < 0.3 else body


def _frame(draw: random.Random, data: bytes) -> bytes:
    kind = 0x81 if draw.random() < 0.95 else draw.choice([0x80, 0x82, 0x88, 0x89, 0xC1, 0xFF])
    n = len(data)
    size = bytes([0x80 | n]) if n < 126 else bytes([0x80 | 126]) + n.to_bytes(2, "big")
    if n >= 1 << 16:
        size = bytes([0x80 | 127]) + n.to_bytes(8, "big")
    return bytes([kind]) + size + b"\0\0\0\0" + data


def _json(body: Any) -> bytes:
    return json.dumps(body).encode()


def _http(method: str, path: str, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    told = {"Host": "x", "Authorization": f"Bearer {KEY}"}
    if body:
        told |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    told |= headers or {}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {text}" for name, text in told.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


# ---- clients


async def client(
    port: int, draw: random.Random, until: float, patience: float, found: Found
) -> None:
    """Send request after request, each over a connection of its own."""
    while time.monotonic() < until:
        request = drawn(draw, found)
        way = draw.choices(["whole", "drips", "leaves", "deaf"], weights=[80, 8, 10, 2])[0]
        began = time.monotonic()
        try:
            ended = await asyncio.wait_for(_sent(port, request, way, draw, found), patience)
        except TimeoutError:
            ended = "nothing"
            if way != "deaf":
                found.went_wrong(f"no answer within {patience:g} s", request.kind, request.data)
        except (OSError, asyncio.IncompleteReadError):
            ended = "closed"
        took = time.monotonic() - began
        if ended == "500":
            found.went_wrong("status 500", request.kind, request.data, took)
        if ended == "closed" and request.whole and way == "whole":
            found.went_wrong("closed without an answer", request.kind, request.data, took)
        found.counts[f"{request.kind} {ended}"] += 1


async def _sent(port: int, request: Request, way: str, draw: random.Random, found: Found) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await _write(writer, request.data, way, draw)
        if way == "leaves":
            if draw.random() < 0.5:
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), draw.random() / 5)
            return "left"
        if way == "deaf":
            await asyncio.sleep(draw.random())
            return "left"
        if request.kind == "stream":
            return await _end_of_stream(reader)
        return await _answer(reader, found, has_body=not request.data.startswith(b"HEAD"))
    finally:
        writer.transport.abort()


async def _write(writer: asyncio.StreamWriter, data: bytes, way: str, draw: random.Random) -> None:
    """Send it at once, or piece by piece; the connection may be closed before the end."""
    if way == "leaves":
        data = data[: draw.randrange(len(data) + 1)]
    with suppress(ConnectionError):
        if way == "drips":
            for at in range(0, len(data), max(1, len(data) // 8)):
                writer.write(data[at : at + max(1, len(data) // 8)])
                await writer.drain()
                await asyncio.sleep(draw.random() / 50)
        else:
            writer.write(data)
            await writer.drain()


async def _end_of_stream(reader: asyncio.StreamReader) -> str:
    """Read until there is a verdict or an error, or the server closes it."""
    answer = b""
    while not (b'"verdict"' in answer or b'"error"' in answer):
        part = await reader.read(65536)
        if not part:
            break
        answer += part
    return "500" if b'"code": "fault"' in answer else f"after {_status(answer)}"


async def _answer(reader: asyncio.StreamReader, found: Found, *, has_body: bool = True) -> str:
    """Read one answer, after a `100 Continue` if there is one; its status, or `closed`."""
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return "closed"
        status = _status(head)
        if status != "100":
            break
    length = next((line for line in head.lower().split(b"\r\n") if b"content-length" in line), None)
    if length is None or not has_body:
        return status  # else an event stream, or a switch of protocols
    body = await reader.readexactly(int(length[15:]))
    if b'"reasons": "later"' in body and (id := _ID.search(body)):
        found.ids = [*found.ids[-99:], id[1].decode()]
    return status


def _status(answer: bytes) -> str:
    return answer[9:12].decode("latin-1") or "closed"


# ---- the run


@contextmanager
def served(folder: str, said: Path) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Start a server; its messages go into a file."""
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, str(PEERS / "serve_fuzzed.py"), folder],
            stdout=subprocess.PIPE, stderr=out, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | ours_environment(),
        )  # fmt: skip
        try:
            assert process.stdout is not None
            port = process.stdout.readline()
            if not port:
                raise RuntimeError(f"the server ended with {process.wait()}: {said.read_text()}")
            yield int(port), process
        finally:
            process.kill()
            process.wait()


async def fuzzed(
    port: int, process: "subprocess.Popen[str]", args: argparse.Namespace
) -> tuple[Found, list[tuple[float, float]]]:
    """Send for so long; returns what came back, and the server's memory: seconds and MB."""
    found, began = Found(), time.monotonic()
    until = began + args.seconds
    clients = [
        asyncio.ensure_future(
            client(port, random.Random(f"{args.seed}/{n}"), until, args.patience, found)
        )
        for n in range(args.clients)
    ]
    memory = [(0.0, memory_mb(process.pid))]
    step, pending = max(0.5, args.seconds / 100), set(clients)
    try:
        while pending and process.poll() is None:
            done, pending = await asyncio.wait(
                pending, timeout=step, return_when=asyncio.FIRST_EXCEPTION
            )
            for one in done:
                one.result()  # A fault of the benchmark's own ends it.
            if process.poll() is None:
                memory.append((time.monotonic() - began, memory_mb(process.pid)))
        if process.poll() is not None:
            found.went_wrong(f"the server died: {process.returncode}", "-", b"")
    finally:
        for one in pending:
            one.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
    return found, memory


async def itself(port: int, patience: float, found: Found) -> None:
    """Check that each body that is right is answered, and that nothing is in progress for ever."""
    for path, body in BODIES:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent = _http("POST", path, _json(body))
        writer.write(sent)
        ended = await asyncio.wait_for(_answer(reader, found), patience)
        writer.transport.abort()
        # Of its engine's failures some wires make a 503 or a 422.
        if ended not in ("200", "503", "422"):
            found.went_wrong(f"afterwards {ended} at {path}", "right", sent)
    until = time.monotonic() + patience
    lanes: dict[str, Any] = {}
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_http("GET", "/load", b"", {"Connection": "close"}))
        lanes = json.loads((await reader.read()).partition(b"\r\n\r\n")[2])["lanes"]
        writer.transport.abort()
        if all(lane["running"] == lane["waiting"] == 0 for lane in lanes.values()):
            return
        await asyncio.sleep(0.2)
    found.went_wrong(f"work that does not end: {lanes}", "-", b"")


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=60.0)
    made.add_argument("--clients", type=int, default=16, help="at once")
    made.add_argument(
        "--patience", type=float, default=30.0, help="seconds that an answer may take"
    )
    args = made.parse_args()
    with tempfile.TemporaryDirectory(prefix="glider-bench-") as folder:
        said = Path(folder, "said.txt")
        with served(folder, said) as (port, process):
            found, memory = asyncio.run(fuzzed(port, process, args))
            if process.poll() is None:
                asyncio.run(itself(port, args.patience, found))
                process.terminate()
                if (code := process.wait(30)) != 0:
                    found.went_wrong(f"exit code {code} at its end", "-", b"")
        faults = [line for line in said.read_text().splitlines() if "a fault:" in line]
        if "Traceback" in said.read_text():
            faults.append(said.read_text()[-3000:])
    for line in faults[:_KEPT]:
        found.went_wrong(line, "log", b"")
    result = {
        "facts": facts(),
        "settings": settings(args),
        "requests": found.counts.total(),
        "counts": dict(sorted(found.counts.items())),
        "memory_mb": {"start": memory[0][1], "end": memory[-1][1], "readings": memory},
        "n_wrong": found.n_wrong,
        "wrong": found.wrong,
    }
    result["table"] = shown(result)
    path = save(args.out, "serve_fuzz", result)
    print(result["table"])
    for one in found.wrong:
        print(f"WRONG: {one['what']} ({one['kind']}); {path} has the request", file=sys.stderr)
    sys.exit(1 if found.n_wrong else 0)


def shown(result: dict[str, Any]) -> str:
    kinds = ["nearly right", "bytes", "headers", "get", "stream"]
    rows = []
    for kind in kinds:
        ends = {
            name[len(kind) + 1 :]: n
            for name, n in result["counts"].items()
            if name.startswith(f"{kind} ")
        }
        said = ", ".join(f"{end} x {n:,}" for end, n in sorted(ends.items(), key=lambda e: -e[1]))
        rows.append([kind, f"{sum(ends.values()):,}", said])
    memory = result["memory_mb"]
    return (
        table(["requests", "n", "ended as"], rows)
        + f"\n{result['requests']:,} requests, {result['n_wrong']} wrong; the server's memory "
        f"{memory['start']:.0f} MB at the start, {memory['end']:.0f} MB at the end.\n"
    )


if __name__ == "__main__":
    main()
