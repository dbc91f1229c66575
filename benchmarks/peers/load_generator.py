"""Load on a server, from a process of its own: connections that each send request after request.

    python load_generator.py PORT PID BODY_FILE CONNECTIONS SECONDS

Plain sockets and no HTTP library, so that little of a core goes into the generator. Every
connection sends its next request when the answer to the last has come (a closed loop). Prints JSON:
requests, seconds, latencies in ms, statuses, and the processor time and memory of the server
process.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path


class Connection(asyncio.Protocol):
    """Sends the same request until the time is up."""

    def __init__(self, request: bytes, until: float, done: asyncio.Event) -> None:
        self.request, self.until, self.done = request, until, done
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        assert isinstance(transport, asyncio.Transport)
        self.write = transport.write

    def send(self) -> None:
        self.began = time.perf_counter()
        self.write(self.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        if len(body) < int(lower[at : lower.find(b"\r", at) if b"\r" in lower[at:] else None]):
            return
        now = time.perf_counter()
        self.latencies.append(1000 * (now - self.began))
        self.statuses[head[9:12].decode()] += 1
        self.buffer = b""
        if now < self.until:
            self.send()
        else:
            self.done.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.statuses["lost"] += not self.done.is_set()
        self.done.set()


async def main(port: int, pid: int, body: bytes, n: int, seconds: float) -> None:
    """Open all connections, then load."""
    request = (
        b"POST /v1/judge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(n):
        connection = Connection(request, 0.0, asyncio.Event())
        await loop.create_connection(lambda one=connection: one, "127.0.0.1", port)
        made.append(connection)
    cpu, before, began = processor_s(pid), time.process_time(), time.perf_counter()
    for connection in made:
        connection.until = began + seconds
        connection.send()
    await asyncio.gather(*(connection.done.wait() for connection in made))
    took = time.perf_counter() - began
    print(
        json.dumps(
            {
                "seconds": took,
                "latencies_ms": sorted(ms for one in made for ms in one.latencies),
                "statuses": sum((one.statuses for one in made), Counter()),
                "server_cpu_s": processor_s(pid) - cpu,
                "generator_cpu_s": time.process_time() - before,
                "server_rss_mb": memory_mb(pid),
            }
        )
    )


def processor_s(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


if __name__ == "__main__":
    asyncio.run(
        main(
            int(sys.argv[1]),
            int(sys.argv[2]),
            Path(sys.argv[3]).read_bytes(),
            int(sys.argv[4]),
            float(sys.argv[5]),
        )
    )
