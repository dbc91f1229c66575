"""Lanes: who goes first, who is refused, what is cancelled, what is measured; time is the test's."""

import asyncio
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from served import run

from glider import Sample
from glider.core.errors import Unavailable
from glider.core.judgments import Failure, Judgment
from glider.core.tasks import JudgeTask
from glider.data.library import load_criterion
from glider.serve.lanes import Lane, Margin, QueueFull, TooLate, tokens_of

CRITERION = load_criterion("helpfulness")


def work(text="fine", n=1):
    return JudgeTask(Sample.of(text * n, input="Say something."), CRITERION)


def judgment(task):
    return Judgment(
        task_id=task.id, sample_id="s", criterion="c", judge="j", score=3, normalized=0.5
    )


def failure(task):
    return Failure(task_id=task.id, sample_id="s", criterion="c", judge="j", stage="prepare",
                   code="missing_field", message="no")  # fmt: skip


class Desk:
    """Stands in a judge's place, so that the test says when each piece of work ends."""

    in_flight = 8

    def __init__(self):
        self.begun = []
        self.now = 100.0

    def submit(self, task):
        future = Future()
        self.begun.append(SimpleNamespace(task=task, future=future))
        return future

    def lane(self, **options):
        return Lane(self, clock=lambda: self.now, **options)

    async def end(self, number, after=0.0, outcome=judgment):
        self.now += after
        one = self.begun[number]
        if one.future.set_running_or_notify_cancel():
            one.future.set_result(outcome(one.task))
        await settled()


async def settled():
    for _ in range(6):
        await asyncio.sleep(0)


async def asked(lane, *works, left_s=None):
    tasks = [asyncio.ensure_future(lane.judged(one, left_s=left_s)) for one in works]
    await settled()
    return tasks


def test_what_waits_waits_shortest_first():
    async def told():
        desk = Desk()
        lane = desk.lane(width=1)
        await asked(lane, work("first"), work("long ", 500), work("mid ", 50), work("short"))
        for number in range(3):
            await desk.end(number)
        return [len(one.task.sample["output"]) for one in desk.begun], lane.idle

    assert run(told()) == ([5, 5, 200, 2500], False)


def test_a_long_text_does_not_wait_for_ever():
    async def told():
        desk = Desk()
        lane = desk.lane(width=1)
        await asked(lane, work("first"), work("long ", 200))
        for number in range(12):  # a short one comes each second
            await asked(lane, work("short"))
            await desk.end(number, after=1.0)
        return any(len(one.task.sample["output"]) == 1000 for one in desk.begun)

    assert run(told())


def test_whoever_leaves_ends_the_work():
    async def told():
        desk = Desk()
        lane = desk.lane(width=1)
        running, waiting = await asked(lane, work("a"), work("b"))
        waiting.cancel()
        running.cancel()
        await settled()
        return desk.begun[0].future.cancelled(), len(desk.begun), lane.idle, lane.pace.per_s

    # What was cancelled measures nothing: no speed of zero.
    assert run(told()) == (True, 1, True, None)


def test_those_who_left_are_not_kept():
    async def told():
        desk = Desk()
        lane = desk.lane(width=1)
        await asked(lane, work("first"))
        for task in await asked(lane, *[work("long ", 100)] * 200):
            task.cancel()
        await settled()
        return lane.waiting, len(lane._queue)

    waiting, held = run(told())
    assert waiting == 0 and held <= 16


def test_more_than_may_wait_is_refused():
    async def told():
        lane = Desk().lane(width=1, max_waiting=2)
        tasks = await asked(lane, *[work()] * 4)
        for task in tasks[:3]:
            task.cancel()
        with pytest.raises(QueueFull):
            await tasks[3]

    run(told())


async def paced(desk, lane, seconds):
    """The lane has done one piece of work in so many seconds."""
    (task,) = await asked(lane, work())
    await desk.end(len(desk.begun) - 1, after=seconds)
    await task


@pytest.mark.parametrize(
    ("n", "left_s", "refused"), [(1, 3.1, False), (1, 2.9, True), (1000, 5.0, True)]
)
def test_what_cannot_be_done_in_time_is_refused_before_the_engine_is_asked(n, left_s, refused):
    async def told():
        desk = Desk()
        lane = desk.lane(width=1)
        await paced(desk, lane, 2.0)
        (task,) = await asked(lane, work("fine", n), left_s=left_s)
        if not refused:
            await desk.end(1, after=1.0)
            return await task
        with pytest.raises(TooLate) as late:
            await task
        assert late.value.estimate_s > left_s and not late.value.admitted
        assert late.value.retry_after_s >= 1 and len(desk.begun) == 1
        return None

    run(told())


def test_the_estimate_counts_those_before():
    async def told():
        desk = Desk()
        lane = desk.lane(width=1)
        await paced(desk, lane, 1.0)
        await asked(lane, *[work()] * 4)  # one runs, three wait
        return (
            lane.estimate(work()),
            lane.estimate(work("long ", 400)),
            tokens_of(work("long ", 400)),
        )

    short, long, cost = run(told())
    assert short == pytest.approx(4.5)
    assert long == pytest.approx(3.5 + cost / tokens_of(work()))


def test_a_serial_lane_counts_what_is_left_of_the_work_in_progress():
    async def told():
        desk = Desk()
        lane = desk.lane(width=2, serial=True)
        await paced(desk, lane, 2.0)
        await asked(lane, *[work()] * 3)  # one runs, one is at hand, one waits
        desk.now += 0.5
        first = lane.estimate(work())
        await desk.end(1, after=1.5)
        desk.now += 5.0  # the second takes longer than it should
        return first, lane.estimate(work())

    # 1.5 of 2 seconds are left, then three more; later none of the first, then two more.
    assert run(told()) == (pytest.approx(7.5), pytest.approx(4.0))


def test_a_margin_is_what_99_of_100_did_not_exceed():
    margin = Margin()
    assert margin.factor(0.0) == 1.5
    margin.ended(1.0, 4.0, now=0.0)
    assert margin.factor(1.0) == 4.0
    for n in range(1, 200):
        margin.ended(10.0, n / 10, now=10.0)
    assert margin.factor(10.0) == pytest.approx(1.99)  # the largest but one
    assert margin.factor(1000.0) == 1.5


def test_what_took_longer_than_estimated_narrows_what_is_admitted():
    async def told():
        desk = Desk()
        lane = desk.lane(width=1)
        await paced(desk, lane, 1.0)
        (slow,) = await asked(lane, work())
        await desk.end(1, after=3.0)
        await slow
        before = lane.estimate(work())
        (task,) = await asked(lane, work(), left_s=2.9 * before)
        with pytest.raises(TooLate) as late:
            await task
        return late.value.estimate_s / before

    assert run(told()) == pytest.approx(3.0)


def test_to_be_overtaken_is_not_to_be_slow():
    async def told():
        desk = Desk()
        lane = desk.lane(width=1, serial=True)
        await paced(desk, lane, 1.0)
        await asked(lane, work(), work("long ", 100))
        for number in range(1, 6):
            await asked(lane, work())
            await desk.end(number, after=1.0)
        return lane.margin.factor(desk.now)

    assert run(told()) == 1.5


@pytest.mark.parametrize(("left_s", "first"), [(7.0, "a long text"), (20.0, "a short one")])
def test_nobody_goes_before_a_request_that_would_then_be_late(left_s, first):
    async def told():
        desk = Desk()
        lane = desk.lane(width=1, serial=True)
        await paced(desk, lane, 1.0)
        unit = tokens_of(work())
        await asked(lane, work())
        long = work("fine", 2 * round(unit * 3.6 / 4))  # about three times as long
        (pressed,) = await asked(lane, long, left_s=left_s)
        assert not pressed.done()
        await asked(lane, *[work()] * 4)
        await desk.end(1)
        pressed.cancel()
        return "a long text" if desk.begun[2].task is long else "a short one"

    assert run(told()) == first


def test_requests_that_overlap_are_measured_together_and_each():
    async def told():
        desk = Desk()
        lane = desk.lane(width=4)
        tasks = await asked(lane, *[work()] * 4)
        desk.now += 2.0
        for number in range(4):
            await desk.end(number)
        await asyncio.gather(*tasks)
        return (
            lane.pace.per_s / tokens_of(work()),
            lane.pace.beside_s * tokens_of(work()),
            lane.pace.alone_s,
        )

    per_s, beside, alone = run(told())
    assert per_s == pytest.approx(2.0) and beside == pytest.approx(2.0) and alone is None


def test_a_failure_before_the_engine_measures_nothing():
    async def told():
        desk = Desk()
        lane = desk.lane()
        (task,) = await asked(lane, work())
        await desk.end(0, after=0.001, outcome=failure)
        await task
        return lane.pace.per_s, lane.estimate(work())

    assert run(told()) == (None, None)


def test_an_idle_lane_measures_anew_before_it_refuses_for_ever():
    async def told():
        desk = Desk()
        lane = desk.lane(width=1)
        measuring = asyncio.ensure_future(lane.measure(work, at_once=1))
        await settled()
        await desk.end(0)
        await desk.end(1, after=60.0)  # the machine slept
        await measuring
        desk.now += 60
        (task,) = await asked(lane, work(), left_s=5.0)
        with pytest.raises(TooLate):
            await task
        await settled()
        for number in range(2, 12):
            await desk.end(number, after=0.1)
            desk.now += 60
            (task,) = await asked(lane, work(), left_s=5.0)
            if not task.done():
                task.cancel()
                return True
            assert isinstance(task.exception(), TooLate)
        return False

    assert run(told())


def test_a_deadline_that_passes_ends_the_work():
    async def told():
        desk = Desk()
        lane = desk.lane()
        with pytest.raises(TooLate) as late:
            await lane.judged(work(), left_s=0.02)
        await settled()
        return late.value.admitted, desk.begun[0].future.cancelled()

    assert run(told()) == (True, True)


@pytest.mark.parametrize("how", ["raises", "is cancelled"])
def test_an_engine_that_drops_work_is_an_error_and_not_a_hang(how):
    class Broken(Desk):
        def submit(self, task):
            if how == "raises":
                raise Unavailable("closed")
            future = super().submit(task)
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    async def told():
        lane = Broken().lane()
        with pytest.raises(Unavailable):
            await lane.judged(work())
        return lane.idle

    assert run(told())
