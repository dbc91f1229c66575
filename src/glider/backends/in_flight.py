"""Keep an engine busy: the loop shared by judging and self-rationalization."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_HELD = 4096
"""Results kept back while an earlier one is awaited."""


def in_flight(
    items: Iterable[Item],
    submit: Callable[[Item], "Future[Result]"],
    *,
    room: int,
    size: Callable[[Item], int] = lambda _: 1,
    place: Callable[[Item], int] | None = None,
) -> Iterator[tuple[Item, "Future[Result]"]]:
    """Submit items as there is room, and give each with its finished future.

    Only as many items are taken as there is room for. Whoever leaves early closes the generator,
    and what is then under way is cancelled.

    Args:
        room: how much may be under way at once, in the unit of `size`; one item always may.
        place: of an item in the order to give them in, 0, 1, 2 and so on; as they are ready if not
            given.
    """
    source, numbers = iter(items), count()
    arrived: SimpleQueue[int] = SimpleQueue()
    under_way: dict[int, tuple[Item, Future[Result]]] = {}
    held: dict[int, tuple[Item, Future[Result]]] = {}
    busy, first, exhausted = 0, 0, False
    try:
        while True:
            while not exhausted and busy < room and (len(held) < _MOST_HELD or not under_way):
                try:
                    item = next(source)
                except StopIteration:
                    exhausted = True
                    break
                number = next(numbers)
                under_way[number] = item, submit(item)
                busy += size(item)
                under_way[number][1].add_done_callback(partial(_arrive, arrived, number))
            if not under_way:
                break
            done = under_way.pop(arrived.get())
            busy -= size(done[0])
            if place is None:
                yield done
                continue
            held[place(done[0])] = done
            while first in held:
                yield held.pop(first)
                first += 1
        for number in sorted(held):  # the source ended before its time
            yield held[number]
    finally:
        for _, future in under_way.values():
            future.cancel()


def _arrive(arrived: "SimpleQueue[int]", number: int, _: object) -> None:
    arrived.put(number)
