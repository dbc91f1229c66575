"""Standard output and standard error that cannot end a command.

A reader may go away (`| head`), a disk may be full, an old console may not know a letter: what is
printed is a copy, and the work behind it goes on.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, TextIO


class Forgiving:
    """A text stream that drops what cannot be written, and knows why."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.lost: OSError | None = None
        """Why nothing is written any more."""
        with suppress(AttributeError, ValueError):
            # A letter that its encoding lacks is written as an escape, which JSON reads too.
            stream.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]

    def write(self, text: str) -> int:
        """Write, or pass over it once the stream is lost."""
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
        """Let the reader have what was written so far."""
        if self.lost is None:
            try:
                self._stream.flush()
            except OSError as exc:
                self._lose(exc)

    @property
    def failed(self) -> bool:
        """It could not be written; that a reader went away is his right."""
        return self.lost is not None and self.lost.errno not in (errno.EPIPE, errno.EINVAL)

    def _lose(self, exc: OSError) -> None:
        self.lost = exc
        # What still lies in its buffers would be tried again, and fail again, at the very end.
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
    """Put forgiving streams in the place of the standard ones; gives standard output."""
    sys.stderr = Forgiving(sys.stderr or _nowhere())
    out = Forgiving(sys.stdout or _nowhere())
    sys.stdout = out
    return out


def output_is_lost() -> bool:
    """Standard output could not be written; a reader who went away has lost nothing."""
    sys.stdout.flush()
    return isinstance(sys.stdout, Forgiving) and sys.stdout.failed


def _nowhere() -> TextIO:
    return io.TextIOWrapper(io.BytesIO(), "utf-8")
