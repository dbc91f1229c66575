"""A backend in several processes: each request is answered once, whatever dies."""

import asyncio
import math
import pickle
import threading
import time
from concurrent.futures import Future, wait

import pytest

from glider.core.errors import BackendError, ClusterLost, SetupError, UnknownName
from glider.core.generation import Generation
from glider.core.judgments import Usage
from glider.judging.settings import JudgeSettings
from glider.scale.engine_host import EngineHost
from glider.scale.engines import Engines, ProcessDied
from glider.scale.settings import ClusterSettings
from glider.testing.contract import COUNT, BackendContract, ask

WAIT_S = 60


class Loops:
    """Processes that are event loops in threads; what is sent is pickled, and DIE ends one."""

    def __init__(self):
        self.started = []
        self.company = []
        """Of each deadly request, how many were open in its process."""

    def start(self):
        handle = Loop()
        self.started.append(handle)
        return handle

    def call(self, handle, method, *args):
        words = args[1].messages[0].content if method == "answer" else ""
        if "DIE" not in words or handle.dead:
            return handle.call(method, args)
        answer = Future()
        handle.futures.append(answer)
        self.company.append((words, handle.n_open))
        handle.die()
        return answer

    def end(self, handle):
        handle.die()

    def close(self):
        pass


class Loop:
    def __init__(self):
        self.host, self.loop = EngineHost(), asyncio.new_event_loop()
        self.futures, self.dead = [], False
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    @property
    def n_open(self):
        return sum(not future.done() for future in self.futures)

    def call(self, method, args):
        answer = Future()
        if self.dead:
            answer.set_exception(ProcessDied("it is dead"))
            return answer
        self.futures.append(answer)

        async def work():
            try:
                done = await getattr(self.host, method)(*pickle.loads(pickle.dumps(args)))
                done = pickle.loads(pickle.dumps(done))
            except Exception as error:  # noqa: BLE001 - as Ray passes it on
                if not answer.done():
                    answer.set_exception(error)
                return
            if not answer.done():
                answer.set_result(done)

        task = asyncio.run_coroutine_threadsafe(work(), self.loop)
        answer.add_done_callback(lambda done: task.cancel() if done.cancelled() else None)
        return answer

    def die(self):
        if not self.dead:
            self.dead = True
            for future in self.futures:
                if not future.done():
                    future.set_exception(ProcessDied("it died"))
            asyncio.run_coroutine_threadsafe(_end_tasks(), self.loop).result(WAIT_S)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(WAIT_S)
            self.loop.close()


async def _end_tasks():
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


def script(request):
    words = request.messages[0].content
    if words == COUNT:
        text = request.opening + "1\n2"
        return Generation(text=text, finish="length", usage=Usage(completion_tokens=1))
    if words.startswith("FAIL"):
        return BackendError("no answer to this")
    if words.startswith("BUG"):
        raise ZeroDivisionError("a bug")
    return "2"


LOGPROBS = {"1": math.log(0.25), "2": math.log(0.5), "3": -math.inf}


@pytest.fixture
def loops():
    return Loops()


@pytest.fixture
def told():
    return []


@pytest.fixture
def engines(loops, told):
    with Engines(ClusterSettings(on="ray", actors=2), loops, told.append) as engines:
        yield engines


@pytest.fixture
def backend(engines):
    with engines.open_backend("scripted", script=script, label_logprobs=LOGPROBS) as backend:
        yield backend


class TestRemote(BackendContract):
    @pytest.fixture
    def backend(self, engines):
        with engines.open_backend("scripted", script=script, label_logprobs=LOGPROBS) as backend:
            yield backend


def test_a_remote_backend_is_the_one_that_is_opened(backend):
    assert backend.id == "scripted/script"
    assert backend.limits.in_flight == 16
    assert backend.capabilities.label_logprobs


def test_requests_are_spread(backend, loops):
    assert [answer.text for answer in backend.generate([ask("x")] * 40)] == ["2"] * 40
    until = time.monotonic() + WAIT_S
    while len([loop for loop in loops.started if loop.futures]) < 2:
        assert time.monotonic() < until
        backend.generate([ask("x")] * 40)


def test_errors_come_as_they_are(backend):
    failed = backend.submit(ask("FAIL")).exception(WAIT_S)
    assert type(failed) is BackendError
    assert failed.message == "no answer to this"
    assert isinstance(backend.submit(ask("BUG")).exception(WAIT_S), ZeroDivisionError)
    assert backend.submit(ask("x")).result(WAIT_S).text == "2"


def test_what_a_process_cannot_open_is_said(engines):
    with pytest.raises(UnknownName, match="nonsense"):
        engines.open_backend("nonsense/model")


def test_a_request_that_kills_its_process_costs_only_itself(backend, loops, told):
    futures = [backend.submit(ask(f"text {n}")) for n in range(30)]
    deadly = backend.submit(ask("DIE"))
    futures += [backend.submit(ask(f"text {n}")) for n in range(30)]
    assert not wait([*futures, deadly], WAIT_S).not_done
    assert [future.result().text for future in futures] == ["2"] * 60
    error = deadly.exception()
    assert error.code == "backend"
    assert error.retryable
    # Twice perhaps with others, then twice alone.
    assert [words for words, _ in loops.company] == ["DIE"] * 4
    assert [n for _, n in loops.company[2:]] == [1, 1]
    assert told == ["an actor died; another takes its place and its open requests"]


def test_processes_that_die_one_after_the_other_stop_the_run(loops, told):
    """Each process dies before it has answered anything."""
    with Engines(ClusterSettings(on="ray", actors=1), loops, told.append) as engines:
        backend = engines.open_backend("scripted", script=script)
        futures = [backend.submit(ask(f"DIE {n}")) for n in range(20)]
        assert not wait(futures, WAIT_S).not_done
        errors = [future.exception() for future in futures]
        assert any(isinstance(error, ClusterLost) for error in errors)
        assert isinstance(backend.submit(ask("x")).exception(WAIT_S), ClusterLost)
    assert len(loops.started) <= 8


def test_nothing_waits_for_ever_once_the_processes_are_gone(loops, told):
    engines = Engines(ClusterSettings(on="ray", actors=2), loops, told.append)
    backend = engines.open_backend("scripted", script=script)
    futures = [backend.submit(ask(f"text {n}")) for n in range(50)]
    engines.close()
    engines.close()
    futures.append(backend.submit(ask("late")))
    assert not wait(futures, WAIT_S).not_done
    assert futures[-1].exception().code == "unavailable"


def test_several_models_are_in_the_same_processes(engines, loops):
    first = engines.open_backend("scripted", script=script)
    second = engines.open_backend("scripted", script=script, model="other")
    assert (first.id, second.id) == ("scripted/script", "scripted/other")
    first.close()
    assert second.submit(ask("x")).result(WAIT_S).text == "2"
    assert first.submit(ask("x")).exception(WAIT_S).code == "unavailable"
    assert len(loops.started) == 2


def test_without_on_a_model_opens_here():
    with (
        ClusterSettings().opener(JudgeSettings()) as opener,
        opener("scripted", script=script) as backend,
    ):
        assert backend.submit(ask("x")).result(WAIT_S).text == "2"


@pytest.mark.parametrize(
    ("how", "settings", "told"),
    [
        (ClusterSettings(actors=2), JudgeSettings(), "go with --on ray"),
        (ClusterSettings(on="ray"), JudgeSettings(max_cost=1.0), "--max-cost counts within one"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(how, settings, told):
    with pytest.raises(SetupError, match=told), how.opener(settings):
        raise AssertionError("it was opened")
