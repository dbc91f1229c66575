"""A backend that takes a fixed time for each answer, as a plug-in: what a cluster adds is the rest.

`install(FOLDER)` writes a package into FOLDER. Where FOLDER is on PYTHONPATH, `--model timed/50` is
an engine of 50 ms that answers eight requests at once; its probabilities follow from the text alone.
A text with DIE in it ends the process, as a crash of an engine does; so does one with DIE-ONCE, if
there is no file FOLDER/died yet.
"""

import hashlib
import math
import os
import shutil
import threading
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path

from glider.backends.base import Backend, Capabilities, Limits, settle
from glider.core.errors import SetupError, Unavailable
from glider.core.generation import Generation, GenerationRequest
from glider.core.judgments import Usage

_AT_ONCE = 8


def install(folder: Path) -> None:
    """Make this module a package that Glider finds, for who has `folder` on the path."""
    about = folder / "glider_timed_engine-1.dist-info"
    about.mkdir(parents=True)
    shutil.copy(__file__, folder / "glider_timed_engine.py")
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: glider-timed-engine\nVersion: 1\n"
    )
    (about / "entry_points.txt").write_text(
        "[glider.backends]\ntimed = glider_timed_engine:TimedBackend\n"
    )


class TimedBackend(Backend):
    """Answers each request after so many milliseconds, eight at once."""

    def __init__(self, milliseconds: str) -> None:
        if not milliseconds.isdecimal():
            raise SetupError("timed/50 is an engine that takes 50 ms")
        self.id = f"timed/{milliseconds}"
        self.limits = Limits(in_flight=_AT_ONCE)
        self.capabilities = Capabilities(label_logprobs=True, explanations=False)
        self._seconds = int(milliseconds) / 1000
        self._waiting: deque[tuple[GenerationRequest, Future[Generation]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        for _ in range(_AT_ONCE):
            threading.Thread(target=self._answer, daemon=True).start()

    def submit(self, request: GenerationRequest) -> "Future[Generation]":
        future: Future[Generation] = Future()
        with self._changed:
            if self._closed:
                settle(future, Unavailable("the backend is closed"))
            else:
                self._waiting.append((request, future))
                self._changed.notify()
        return future

    def close(self) -> None:
        with self._changed:
            self._closed = True
            for _, future in self._waiting:
                settle(future, Unavailable("the backend is closed"))
            self._waiting.clear()
            self._changed.notify_all()

    def _answer(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                request, future = self._waiting.popleft()
            time.sleep(self._seconds)
            text = "".join(message.content for message in request.messages)
            _perhaps_die(text)
            assert request.labels is not None
            drawn = hashlib.sha256(text.encode()).digest()
            weights = [1 + drawn[n] for n in range(len(request.labels.texts))]
            logprobs = {
                label: math.log(weight / sum(weights))
                for label, weight in zip(request.labels.texts, weights, strict=True)
            }
            answer = request.opening + max(logprobs, key=logprobs.__getitem__)
            usage = Usage(prompt_tokens=len(text) // 4, completion_tokens=1)
            settle(future, Generation(text=answer, label_logprobs=logprobs, usage=usage))


def _perhaps_die(text: str) -> None:
    died = Path(__file__).parent / "died"
    if "DIE-ONCE" in text and not died.exists():
        died.touch()
        os._exit(1)
    if "DIE" in text.replace("DIE-ONCE", ""):
        os._exit(1)
