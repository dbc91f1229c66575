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
"""Most finished results to hold while waiting for an earlier one."""


def in_flight(
    items: Iterable[Item],
    submit: Callable[[Item], "Future[Result]"],
    *,
    room: int,
    size: Callable[[Item], int] = lambda _: 1,
    place: Callable[[Item], int] | None = None,
) -> Iterator[tuple[Item, "Future[Result]"]]:
    """Submit items as capacity allows, and yield each with its finished future.

    It takes only as many items as there is room for. Closing the generator early cancels whatever
    is still in flight.

    Args:
        room: capacity in the unit of `size`; a single item is always allowed.
        place: gives an item's position in the output order (0, 1, 2, ...); by default, items come
            in order of completion.
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
        for number in sorted(held):  # the source ended early
            yield held[number]
    finally:
        for _, future in under_way.values():
            future.cancel()


def _arrive(arrived: "SimpleQueue[int]", number: int, _: object) -> None:
    arrived.put(number)
