"""What is given to whom: work in chunks, and again if its process dies.

A task is given again until somebody answers it. One that was in hand each time a process died may
be what kills them: after `_TOGETHER` deaths it is given alone, and after `_MOST_DEATHS` it fails,
so that a text which crashes an engine costs its own judgment and not the run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from glider.core.tasks import JudgeTask
from glider.data.clusters import cluster_key
from glider.judging.judge import Work

Item = tuple[int, Work]
"""A row, and what is asked of it."""

_TOGETHER = 2
_MOST_DEATHS = 4
_WINDOW = 16
"""Chunks that are read ahead, so that rows of one input and context come into the same."""


@dataclass(frozen=True)
class Chunk:
    """Work that one process is given at once."""

    items: list[Item]
    deaths: int = 0
    """How many processes died with it."""

    @property
    def alone(self) -> bool:
        """Whether nothing else may be given to its process meanwhile."""
        return self.deaths >= _TOGETHER


class Chunks:
    """The work of a run: what nobody has yet, and what has to be given again."""

    def __init__(self, items: Iterable[Item], size: int) -> None:
        """Read the work as it is needed.

        Args:
            size: most items of a chunk.
        """
        self._source = neighbours(items, size)
        self._exhausted = False
        self._again: deque[Chunk] = deque()
        self._suspects: deque[Chunk] = deque()
        self.failed: list[Item] = []
        """Work with which too many processes died; take from it what is dealt with."""

    @property
    def suspicious(self) -> bool:
        """Whether there is work that has to be given alone."""
        return bool(self._suspects)

    @property
    def any_left(self) -> bool:
        """Whether there may be more to take, or to fail."""
        return bool(self._again or self._suspects or self.failed) or not self._exhausted

    def take(self, *, alone: bool) -> Chunk | None:
        """The next chunk; None if there is none.

        Args:
            alone: whether its process has nothing else.
        """
        if alone and self._suspects:
            return self._suspects.popleft()
        if self._again:
            return self._again.popleft()
        items = next(self._source, None)
        self._exhausted = items is None
        return None if items is None else Chunk(items)

    def give_back(self, chunk: Chunk, is_done: Callable[[Item], bool]) -> None:
        """Note that a process died with a chunk; what of it is not done is given again."""
        deaths = chunk.deaths + 1
        missing = [item for item in chunk.items if not is_done(item)]
        if deaths >= _MOST_DEATHS:
            self.failed += missing
        elif deaths >= _TOGETHER:
            self._suspects += [Chunk([item], deaths) for item in missing]
        elif missing:
            self._again.append(Chunk(missing, deaths))


def neighbours(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Cut work into chunks of at most `size`; rows of one input and context stay together.

    They begin their prompts with the same tokens, which an engine computes once. The order is kept
    otherwise, and at most `_WINDOW` chunks are read ahead.
    """
    source = iter(items)
    while window := list(islice(source, size * _WINDOW)):
        groups: dict[str, list[Item]] = {}
        for row, work in window:
            key = cluster_key(work.sample, None) or f"row {row}"
            groups.setdefault(key, []).append((row, work))
        chunk: list[Item] = []
        for group in groups.values():
            if chunk and len(chunk) + len(group) > size:
                yield chunk
                chunk = []
            chunk += group
            while len(chunk) >= size:
                yield chunk[:size]
                chunk = chunk[size:]
        if chunk:
            yield chunk


def place_of(work: Work) -> tuple[str, str, str]:
    """What the outcome of this work is about, as `RunFolder.is_done` asks for it."""
    if isinstance(work, JudgeTask):
        return work.criterion.name, "", ""
    return work.criterion.name, work.first, work.second
