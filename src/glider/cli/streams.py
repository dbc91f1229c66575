"""Standard output and standard error that cannot end a command.

A reader may go away (`| head`), a disk may be full, an old console may lack a character. What is
printed is only a copy, so the work goes on.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class Forgiving:
    """A text stream that drops what cannot be written and remembers why."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        """The error that stopped all writing; None while it works."""
        with suppress(AttributeError, ValueError):
            # A character that the encoding lacks is written as an escape, which JSON can read.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]

    def write(self, text: str) -> int:
        """Write the text, or drop it once the stream is lost."""
        if self.lost is None:
            try:
                return self._stream.write(text)
            except OSError as exc:
                self._lose(exc)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write one after another."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Pass on what was written so far."""
        if self.lost is None:
            try:
                self._stream.flush()
            except OSError as exc:
                self._lose(exc)

    @property
    def failed(self) -> bool:
        """Whether writing failed; a reader who went away is not a failure."""
        return self.lost is not None and self.lost.errno not in (errno.EPIPE, errno.EINVAL)

    def _lose(self, exc: OSError) -> None:
        self.lost = exc
        # Otherwise Python would try to flush the buffers again at exit, and fail again.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        if self.failed and self is sys.stdout:
            print(
                f"error (output): cannot write standard output: {exc.strerror or exc}",
                file=sys.stderr,
            )

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard() -> Forgiving:
    """Replace the standard streams by forgiving ones; return standard output."""
    sys.stderr = Forgiving(sys.stderr or _nowhere())
    out = Forgiving(sys.stdout or _nowhere())
    sys.stdout = out
    return out


def output_is_lost() -> bool:
    """Whether standard output could not be written; a reader who went away does not count."""
    sys.stdout.flush()
    return isinstance(sys.stdout, Forgiving) and sys.stdout.failed


def _nowhere() -> TextIO:
    return io.TextIOWrapper(io.BytesIO(), "utf-8")
