"""Bounds for tests that wait: whatever never comes fails the test, and does not hang it."""

import threading
import time
from contextlib import contextmanager

WAIT_S = 120


def until(found, seconds=WAIT_S):
    """Wait until `found()` is true, and return what it gives."""
    end = time.monotonic() + seconds
    while not (what := found()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.01)
    return what


@contextmanager
def killed_after(process, seconds=WAIT_S):
    """End a process that is read from, if it says nothing for too long: its pipes then end."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def first_line(process, seconds=WAIT_S):
    """The first line that a process prints; empty if it ends before, or is ended."""
    with killed_after(process, seconds):
        return process.stdout.readline()
