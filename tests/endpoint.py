"""A server on loopback that gives the replies it was told to give."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def reply(content="4", **more):
    """A completion as OpenAI sends it."""
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"choices": [choice | more]}


def refusal(message, **more):
    return {"error": {"message": message, **more}}


class Endpoint:
    """A server that gives the replies it was told to give, the last one again and again.

    Each is (status, JSON or bytes, headers), or a function of the request's JSON giving that.
    """

    def __init__(self, *replies):
        self.seen, self.times, self.paths, self.headers = [], [], [], []
        todo = list(replies)
        lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler):
                body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
                with lock:
                    self.seen.append(body)
                    self.times.append(time.monotonic())
                    self.paths.append(handler.path)
                    self.headers.append(dict(handler.headers))
                    answer = todo.pop(0) if len(todo) > 1 else todo[0]
                status, data, headers = answer(body) if callable(answer) else answer
                data = data if isinstance(data, bytes) else json.dumps(data).encode()
                handler.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(data))}).items():
                    handler.send_header(name, value)
                handler.end_headers()
                handler.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join(30)
        self.server.server_close()
