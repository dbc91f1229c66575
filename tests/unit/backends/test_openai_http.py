"""The OpenAI-compatible backend against real HTTP on loopback, on good days and bad ones."""

import logging
import socket
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor, wait
from email.utils import formatdate
from itertools import pairwise

import pytest
from endpoint import Endpoint, refusal, reply

from glider import Judge
from glider.backends import open_backend
from glider.backends._limits import Budget, Pace
from glider.backends._openai_wire import Wire, retry_after, usage_of
from glider.backends.openai_http import OpenAIBackend, Price
from glider.core.errors import (
    AccessRefused,
    BackendError,
    BadResponse,
    BudgetSpent,
    Filtered,
    NoAnswer,
    PromptTooLong,
    RateLimited,
    Refused,
    SetupError,
    TimedOut,
    Unavailable,
)
from glider.core.generation import (
    Decoding,
    Generation,
    GenerationRequest,
    Grammar,
    Labels,
    Message,
)
from glider.testing.server import FAULTS, NONSENSE, FakeServer

KEY = "sk-very-secret-0123456789"
SECRET_TEXT = "the patient's name is Zebedee"


def ask(id="r", content="Is it good?", **more):
    return GenerationRequest(id=id, messages=(Message("user", content),), **more)


def outcome(backend, request=None):
    (answer,) = backend.generate([request or ask()])
    return answer


# ---- a bad day


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("rate_limited", RateLimited),
        ("overloaded", Unavailable),
        ("server_error", Unavailable),
        ("reset", Unavailable),
        ("empty", BadResponse),
        ("html", BadResponse),
        ("half_json", BadResponse),
        ("drip", TimedOut),
        ("wrong_shape", BadResponse),
        ("cut_off", ("Scor", "length")),
        ("nonsense", (NONSENSE, "stop")),
        ("unauthorized", Refused),
        ("not_found", Refused),
        ("too_long", PromptTooLong),
    ],
)
def test_every_fault_has_its_name(fault, expected):
    with FakeServer(answer="Score: 4", always=fault) as server:
        with OpenAIBackend("m", base_url=server.url, max_retries=0, timeout_s=0.3) as backend:
            answer = outcome(backend)
        assert server.stats()["requests"] == 1
    if isinstance(expected, tuple):
        assert (answer.text, answer.finish) == expected
    else:
        assert isinstance(answer, expected)


def test_the_table_above_has_every_fault():
    mark = next(m for m in test_every_fault_has_its_name.pytestmark if m.name == "parametrize")
    assert {row[0] for row in mark.args[1]} >= set(FAULTS)


@pytest.mark.parametrize(
    ("fault", "asked"),
    [("server_error", 3), ("reset", 3), ("html", 3), ("rate_limited", 3), ("unauthorized", 1)],
)
def test_only_what_may_pass_is_asked_again(fault, asked):
    with FakeServer(always=fault) as server:
        with OpenAIBackend("m", base_url=server.url, max_retries=2) as backend:
            assert isinstance(outcome(backend), BackendError)
        assert server.stats()["requests"] == asked


def test_a_retry_is_counted():
    with (
        Endpoint((500, {}, {}), (200, b"<html>", {}), (200, reply(), {})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url) as backend,
    ):
        answer = outcome(backend)
    assert (answer.text, answer.retries) == ("4", 2)
    assert [h["x-request-id"] for h in endpoint.headers] == ["r", "r", "r"]


def test_a_thousand_requests_on_a_bad_day():
    requests = [ask(f"r{n}") for n in range(1000)]
    with FakeServer(answer="Score: 4", fault_rate=0.3, seed=7) as server:
        with OpenAIBackend("m", base_url=server.url, timeout_s=0.4) as backend:
            answers = backend.generate(requests)
        stats = server.stats()
    good = [a for a in answers if isinstance(a, Generation)]
    assert len(answers) == 1000
    assert all(isinstance(a, Generation | BackendError) for a in answers)
    assert len(good) >= 990  # Seven failures in a row are one in 20,000.
    assert {a.text for a in good} <= {"Score: 4", "Scor", NONSENSE}
    assert stats["request_ids"] == 1000
    asked = sum(a.retries + 1 for a in good) + 7 * (1000 - len(good))
    # Nothing was asked that is not counted; what timed out early may not have arrived.
    assert asked - 10 <= stats["requests"] <= asked


def test_a_dripping_answer_ends_at_the_deadline():
    with (
        FakeServer(always="drip") as server,
        OpenAIBackend("m", base_url=server.url, timeout_s=1.5, max_retries=0) as backend,
    ):
        began = time.monotonic()
        assert isinstance(outcome(backend), TimedOut)
        assert 1.4 < time.monotonic() - began < 20


def test_nobody_there():
    with Endpoint((200, reply(), {})) as endpoint:
        url = endpoint.url
    with OpenAIBackend("m", base_url=url, max_retries=0) as backend:
        error = outcome(backend)
    assert isinstance(error, Unavailable)
    assert f"127.0.0.1:{endpoint.port}" in str(error)


def test_plain_http_behind_https_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            with listener.accept()[0] as connection:
                connection.recv(9)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/v1"
        with OpenAIBackend("m", base_url=url) as backend:
            assert isinstance(outcome(backend), Refused)
        thread.join(30)


def test_a_redirect_is_not_followed_with_the_key():
    with (
        Endpoint((200, reply(), {})) as elsewhere,
        Endpoint((307, b"", {"Location": elsewhere.url + "/chat/completions"})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url, api_key=KEY) as backend,
    ):
        assert isinstance(outcome(backend), Refused)
    assert elsewhere.seen == []


# ---- waiting


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_stops_everybody(status):
    busy = (status, refusal("busy"), {"Retry-After": "0.4"})
    with (
        Endpoint(busy, (200, reply(), {})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url) as backend,
    ):
        first = backend.submit(ask("first"))
        while not endpoint.times:
            time.sleep(0.005)
        time.sleep(0.1)
        others = [backend.submit(ask(f"r{n}")) for n in range(5)]
        wait([first, *others])
    told, *later = endpoint.times
    assert len(later) == 6
    assert min(later) - told >= 0.4


def test_a_rest_of_a_day_is_not_waited_for():
    with (
        Endpoint((429, refusal("come back tomorrow"), {"Retry-After": "86400"})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url) as backend,
    ):
        error = outcome(backend)
        assert isinstance(outcome(backend), RateLimited)  # Not paused either.
    assert error.retry_after_s == 86400


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("2", 2.0),
        ("0.05", 0.05),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
    ],
)
def test_retry_after(value, seconds):
    assert retry_after(value, NOW) == seconds


def in_flight(pace, seconds, *, trouble):
    """How many attempts of one second each are open, second by second, with plenty waiting.

    `trouble` tells how many of those that end in a second fail.
    """
    open_, counts = [], []
    for now in range(seconds):
        ending = [began for began in open_ if began < now]
        for number, began in enumerate(ending or [None]):
            if began is not None:
                open_.remove(began)
                pace.end(began, now, trouble=number < trouble.get(now, 0))
            while pace.ready(now):
                pace.begin(now)
                open_.append(now)
        counts.append(len(open_))
    return counts


def test_pace_doubles_then_halves_then_creeps():
    # The first goes alone. Twenty attempts fail in one second: one halving, not twenty.
    counts = in_flight(Pace(64), 15, trouble={5: 20})
    assert counts[:5] == [1, 8, 16, 32, 64]
    assert 32 <= counts[5] <= 38
    steps = [after - before for before, after in pairwise(counts[5:12])]
    assert set(steps) <= {3, 4, 5}  # A sixteenth of 64, a second.
    assert counts[-1] == 64


def test_pace_never_stops_and_never_overflows():
    assert in_flight(Pace(4), 4, trouble={}) == [1, 4, 4, 4]
    assert in_flight(Pace(4), 6, trouble=dict.fromkeys(range(6), 9)) == [1, 2, 1, 1, 1, 1]


def test_pace_does_not_wait_long_for_the_first():
    pace = Pace(4)
    pace.begin(10.0)
    assert [pace.ready(t) for t in (10.0, 11.9, 12.0)] == [False, False, True]


def test_pace_does_not_grow_unused():
    pace = Pace(64)
    for n in range(100):
        pace.begin(n)
        pace.end(n, n + 1, trouble=False)
    assert pace.limit == 8


def test_pace_rests():
    pace = Pace(8)
    pace.begin(0.0)
    pace.end(0.0, 1.0, trouble=True, pause_s=2.0)
    assert [pace.ready(t) for t in (1.0, 2.9, 3.0)] == [False, False, True]


def test_the_ceiling_is_reached_and_kept():
    with FakeServer(delay_s=0.02) as server:
        with OpenAIBackend("m", base_url=server.url, max_in_flight=20) as backend:
            backend.generate([ask(f"r{n}") for n in range(300)])
        stats = server.stats()
    assert stats["max_in_hand"] == 20
    assert stats["connections"] == 20  # Kept alive.


# ---- refusals


@pytest.mark.parametrize(
    ("always", "said", "hint"),
    [
        ("unauthorized", "401: Incorrect API key.", "OPENAI_API_KEY"),
        ("not_found", "404: The model does not exist", "--model"),
    ],
)
def test_a_refusal_says_what_to_do(always, said, hint):
    with (
        FakeServer(always=always) as server,
        OpenAIBackend("m", base_url=server.url) as backend,
    ):
        error = outcome(backend)
    assert error.message.startswith(said)
    assert hint in error.hint


def test_a_field_nobody_knows_is_left_out_from_then_on(caplog):
    def picky(body):
        for field in ("seed", "logprobs"):
            if field in body:
                return 400, refusal(f"Unrecognized request argument supplied: {field}"), {}
        return 200, reply(), {}

    labels = Labels(texts=("4", "5"), after="")
    with (
        Endpoint(picky) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url, max_retries=0) as backend,
    ):
        answers = backend.generate([ask(f"r{n}", labels=labels) for n in range(6)])
        again = outcome(backend, ask(labels=labels))
    told = {(a.text, a.retries, a.label_logprobs, a.adjusted) for a in [*answers, again]}
    assert told == {("4", 0, None, ("seed", "logprobs", "top_logprobs"))}
    assert len(endpoint.seen) == 9  # Learnt once: the first request went alone.
    assert not {"seed", "logprobs", "top_logprobs"} & set(endpoint.seen[-1])
    warnings = {r.getMessage() for r in caplog.records if r.levelno == logging.WARNING}
    assert warnings == {
        "openai/m takes no seed; going on without",
        "openai/m takes no logprobs and top_logprobs; going on without",
    }


@pytest.mark.parametrize(
    "refused",
    [
        (401, refusal("Incorrect API key provided"), {}),
        (200, refusal("No auth credentials found", code=401), {}),
        (404, refusal("The model `m` does not exist", code="model_not_found"), {}),
        (429, refusal("pay", code="insufficient_quota"), {}),
    ],
)
def test_an_endpoint_that_lets_nobody_in_is_asked_once(refused):
    with Endpoint(refused) as endpoint, OpenAIBackend("m", base_url=endpoint.url) as backend:
        errors = backend.generate([ask(f"r{n}") for n in range(40)])
        errors.append(outcome(backend))
    assert {type(error) for error in errors} == {AccessRefused}
    assert len(endpoint.seen) == 1


def test_an_endpoint_that_refused_is_asked_again_after_a_while(monkeypatch):
    monkeypatch.setattr("glider.backends.openai_http._REFUSED_S", 0.3)
    refused = (401, refusal("Incorrect API key provided"), {})
    with (
        Endpoint(refused, (200, reply(), {})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url) as backend,
    ):
        first, at_once = outcome(backend), outcome(backend)
        time.sleep(0.4)
        assert outcome(backend).text == "4"
    assert {type(first), type(at_once)} == {AccessRefused} and len(endpoint.seen) == 2


def test_an_error_under_200_is_waited_for_as_any_other():
    busy = (200, refusal("too many", code=429), {"Retry-After": "0.2"})
    with (
        Endpoint(busy, (200, reply(), {})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url) as backend,
    ):
        answer = outcome(backend)
    assert (answer.text, answer.retries) == ("4", 1)
    assert endpoint.times[1] - endpoint.times[0] >= 0.2


def test_a_field_that_matters_is_not_left_out():
    message = "Unsupported value: 'messages' holds a role this model does not know."
    with (
        Endpoint((400, refusal(message, param="messages"), {})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url) as backend,
    ):
        assert isinstance(outcome(backend), Refused)
    assert len(endpoint.seen) == 1


# ---- money


PRICE = Price(input_per_million=1_000_000, output_per_million=2_000_000)  # 1 and 2 a token


@pytest.mark.parametrize("fault_rate", [0.0, 0.3])
def test_the_budget_is_never_exceeded(fault_rate):
    requests = [ask(f"r{n}", decoding=Decoding(max_tokens=4)) for n in range(60)]
    with FakeServer(answer="Score: 4", fault_rate=fault_rate, seed=3, delay_s=0.005) as server:
        with OpenAIBackend(
            "m", base_url=server.url, price=PRICE, max_cost=2000, timeout_s=0.2, max_retries=2
        ) as backend:
            answers = backend.generate(requests)
        stats = server.stats()
    good = [a for a in answers if isinstance(a, Generation)]
    assert all(a.usage.cost == a.usage.prompt_tokens + 2 * a.usage.completion_tokens for a in good)
    # What the endpoint charges for: all that it answered, also what was lost on the way.
    faults = stats["faults"]
    billed = stats["answered"] + sum(faults[f] for f in ("nonsense", "cut_off", "half_json"))
    assert billed * good[0].usage.cost <= 2000
    assert any(isinstance(a, BudgetSpent) for a in answers)
    # Used as well as kept: one request's worst case (bytes, 4 to a token) may be left over.
    if not fault_rate:
        worst = 4 * good[0].usage.prompt_tokens + 3 + 2 * 4
        assert sum(a.usage.cost for a in good) > 2000 - worst


def test_no_price_no_cost():
    with FakeServer() as server, OpenAIBackend("m", base_url=server.url) as backend:
        assert outcome(backend).usage.cost is None


def test_unknown_usage_counts_in_full():
    with (
        Endpoint((200, reply(), {})) as endpoint,
        OpenAIBackend(
            "m", base_url=endpoint.url, price=Price(0, 1_000_000), max_cost=25
        ) as backend,
    ):
        request = ask(decoding=Decoding(max_tokens=10))
        answers = backend.generate([request] * 3)
    assert [getattr(a, "text", None) for a in answers] == ["4", "4", None]
    assert answers[0].usage.cost is None
    assert isinstance(answers[2], BudgetSpent)


def test_every_attempt_that_was_charged_is_counted():
    """A reply without a choice has its usage too; what gave nothing was paid for as well."""
    used = {"usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    nothing = (200, {"choices": [{}]} | used, {})
    with (
        Endpoint(nothing, nothing, (200, reply() | used, {}), nothing) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url, price=PRICE, max_retries=2) as backend,
    ):
        answer, error = outcome(backend), outcome(backend)
    assert isinstance(error, BadResponse)
    for usage in (answer.usage, error.usage):
        assert (usage.prompt_tokens, usage.completion_tokens, usage.cost) == (21, 6, 33.0)


def test_budget_arithmetic():
    budget = Budget(Price(2.0, 10.0), 1.0)
    assert budget.worst_case(100_000, 50_000) == pytest.approx(0.7)  # 0.2 + 0.5
    budget.reserve(0.7)
    assert [budget.fits(c) for c in (0.29, 0.31)] == [True, False]
    budget.settle(0.7, 0.4)
    assert [budget.fits(c) for c in (0.59, 0.61)] == [True, False]


# ---- what is sent


def wire(kind="auto"):
    return Wire("m", kind)


def test_the_plain_body():
    request = GenerationRequest(
        id="r",
        messages=(Message("system", "s"), Message("user", "u")),
        decoding=Decoding(temperature=0.5, top_p=0.9, max_tokens=7, seed=3),
    )
    assert wire().body(request) == {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "seed": 3,
        "stream": False,
    }


def test_reasoning_models_get_the_newer_name_and_draw_as_they_please():
    def reasoning(body):
        if "max_tokens" in body:
            told = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return 400, refusal(told, param="max_tokens"), {}
        if "temperature" in body:
            told = "Unsupported value: 'temperature' does not support 0 with this model."
            return 400, refusal(told, param="temperature"), {}
        return 200, reply(), {}

    with (
        Endpoint(reasoning) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url, max_retries=0) as backend,
    ):
        assert outcome(backend, ask(decoding=Decoding(max_tokens=7))).text == "4"
    assert endpoint.seen[-1]["max_completion_tokens"] == 7
    assert not {"max_tokens", "temperature"} & set(endpoint.seen[-1])
    assert endpoint.seen[-1]["top_p"] == 1.0


BOTH = Grammar(lark='start: "a"', json_schema={"type": "string"})
LARK = Grammar(lark='start: "a"')
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "strict": True, "schema": {"type": "string"}},
}


@pytest.mark.parametrize(
    ("kind", "grammar", "added"),
    [
        ("auto", BOTH, {"response_format": FORMAT}),
        ("auto", LARK, {}),
        ("json-schema", BOTH, {"response_format": FORMAT}),
        ("json-schema", LARK, {}),
        ("vllm", LARK, {"structured_outputs": {"grammar": '%llguidance {}\nstart: "a"'}}),
        ("llama.cpp", BOTH, {"grammar": '%llguidance {}\nstart: "a"'}),
        ("none", BOTH, {}),
    ],
)
def test_grammars(kind, grammar, added):
    plain = wire(kind).body(ask())
    body = wire(kind).body(ask(grammar=grammar))
    assert {name: value for name, value in body.items() if name not in plain} == added
    assert wire(kind).answer(reply(), ask(grammar=grammar), body).constrained == bool(added)


BEGUN = {"role": "assistant", "content": "Score: "}


@pytest.mark.parametrize(
    ("kind", "last", "flags", "said", "text"),
    [
        ("none", "user", {}, "4", "Score: 4"),
        ("none", "user", {}, "Score: 4", "Score: 4"),  # It began so by itself.
        ("auto", "user", {}, "4", "Score: 4"),
        ("llama.cpp", "assistant", {}, "4", "Score: 4"),
        ("llama.cpp", "assistant", {}, "Score: 4", "Score: 4"),
        ("vllm", "assistant", {"continue_final_message": True, "add_generation_prompt": False},
         "4", "Score: 4"),
        ("vllm", "assistant", {"continue_final_message": True, "add_generation_prompt": False},
         "Score: 4", "Score: Score: 4"),  # It continues, so that is what the model wrote.
    ],
)  # fmt: skip
def test_openings(kind, last, flags, said, text):
    request = ask(opening="Score: ")
    body = wire(kind).body(request)
    assert body["messages"][-1]["role"] == last
    assert (body["messages"][-1] == BEGUN) == (last == "assistant")
    names = ("continue_final_message", "add_generation_prompt")
    assert {name: body[name] for name in names if name in body} == flags
    assert wire(kind).answer(reply(said), request, body).text == text


def test_headers():
    with Endpoint((200, reply(), {})) as endpoint:
        with OpenAIBackend("m", base_url=endpoint.url + "/", api_key=KEY + "\n") as backend:
            outcome(backend, ask("row 7/a"))
            outcome(backend, ask("zeile\r\nx: ü"))
        with OpenAIBackend("m", base_url=endpoint.url) as backend:
            outcome(backend)
    assert [h.get("Authorization") for h in endpoint.headers] == [f"Bearer {KEY}"] * 2 + [None]
    assert [h["x-request-id"] for h in endpoint.headers] == [
        "row 7/a",
        "zeile%0D%0Ax%3A%20%C3%BC",
        "r",
    ]
    assert set(endpoint.paths) == {"/v1/chat/completions"}


def test_a_name_alone_takes_key_and_address_from_the_environment(monkeypatch):
    with Endpoint((200, reply(), {})) as endpoint, Endpoint((200, reply(), {})) as other:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        with Judge("openai/m") as judge:
            outcome(judge.backend)
        with open_backend("openai/m", base_url=other.url, api_key="mine") as backend:
            outcome(backend)
    assert [h["Authorization"] for h in endpoint.headers + other.headers] == [
        f"Bearer {KEY}",
        "Bearer mine",
    ]


def test_hostile_texts_arrive_whole():
    text = "\ud83d half a pair, \x00, \u202e and naïve 日本語"
    with (
        Endpoint((200, reply(), {})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url) as backend,
    ):
        outcome(backend, ask(content=text))
    assert endpoint.seen[0]["messages"][0]["content"] == text


def test_a_schema_that_is_no_json_stops_nobody_else():
    broken = Grammar(lark="", json_schema={"enum": {"a", "b"}})
    with FakeServer(answer="4") as server, OpenAIBackend("m", base_url=server.url) as backend:
        first = backend.submit(ask("a", grammar=broken))
        second = backend.submit(ask("b"))
        assert isinstance(first.exception(5), TypeError)
        assert second.result(5).text == "4"


def test_the_systems_proxy_is_used(monkeypatch):
    with Endpoint((200, reply(), {})) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        with OpenAIBackend("m", base_url="http://judge.invalid/v1") as backend:
            assert outcome(backend).text == "4"
    assert proxy.paths == ["http://judge.invalid/v1/chat/completions"]


@pytest.mark.parametrize("value", ["127.0.0.1:{port}", "http://127.0.0.1:{port}", " {port}"])
def test_a_proxy_may_be_named_without_its_scheme(monkeypatch, value):
    with Endpoint((200, reply(), {})) as proxy:
        named = value.format(port=f"127.0.0.1:{proxy.port}" if ":" not in value else proxy.port)
        for variable in ("http_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(variable, named)
        monkeypatch.setenv("no_proxy", "")
        with OpenAIBackend("m", base_url="http://judge.invalid/v1") as backend:
            assert outcome(backend).text == "4"


@pytest.mark.parametrize(
    "value", ["socks5://127.0.0.1:9", "http://", "127.0.0.1:port", "http://[::1"]
)
def test_a_proxy_that_cannot_be_is_named_by_its_variable(monkeypatch, value):
    monkeypatch.setenv("https_proxy", value)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(SetupError, match="HTTPS_PROXY") as caught:
        OpenAIBackend("m", base_url="https://judge.invalid/v1")
    assert "NO_PROXY=judge.invalid" in caught.value.hint


# ---- what comes back


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply("hi"), ("hi", "stop")),
        (reply("hi", finish_reason=None), ("hi", "stop")),
        (reply("hi", finish_reason="length"), ("hi", "length")),
        (reply("", finish_reason="stop"), ("", "stop")),
        (reply(None, finish_reason="length"), ("", "length")),  # Thought until the limit.
        (reply(message={"content": None, "refusal": "I will not."}), ("I will not.", "stop")),
        (reply("hi", finish_reason="content_filter"), Filtered),
        (reply(None), BadResponse),
        (reply(4), BadResponse),
        (reply([{"type": "text"}]), BadResponse),
        (
            reply(
                [{"type": "thinking", "thinking": [{"text": "2?"}]}, {"type": "text", "text": "4"}]
            ),
            ("4", "stop"),
        ),
        (reply("hi", finish_reason="MAX_TOKENS"), ("hi", "length")),
        (reply(message={"content": None, "reasoning_content": "So 4."}), NoAnswer),
        (reply(message={"content": "", "reasoning": "So 4."}), NoAnswer),
        (
            reply(message={"content": None, "reasoning": "So"}, finish_reason="length"),
            ("", "length"),
        ),
        (reply("", finish_reason="SAFETY"), Filtered),
        ({"choices": []}, BadResponse),
        ({"choices": {"0": 1}}, BadResponse),
        ({"choices": [None]}, BadResponse),
        ({"choices": [{"message": "hi"}]}, BadResponse),
        ({}, BadResponse),
    ],
)
def test_answers(answer, expected):
    if isinstance(expected, tuple):
        found = wire().answer(answer, ask(), {})
        assert (found.text, found.finish) == expected
    else:
        with pytest.raises(expected) as caught:
            wire().answer(answer, ask(), {})
        if expected is NoAnswer:
            assert "reasoning" in caught.value.message
            assert "reasoning parser" in caught.value.hint


def test_an_opening_stands_behind_what_was_thought_first():
    """And no probabilities are read where the thinking begins."""
    asked = ask(opening="Score: ", labels=Labels(texts=("4", "5"), after="Score: "))
    top = [{"token": "4", "logprob": -9.0}]
    for said, lead in (("4", ""), ("Score: 4", "Score: ")):
        tokens = [{"token": "<think>", "top_logprobs": top}, {"token": "x</think>\n" + lead,
                  "top_logprobs": []}, {"token": "4", "top_logprobs": [{"token": "4",
                  "logprob": -0.5}]}]  # fmt: skip
        answer = reply("<think>x</think>\n" + said, logprobs={"content": tokens})
        found = wire().answer(answer, asked, {})
        text, logprobs = found.text, found.label_logprobs
        assert text == "<think>x</think>Score: 4"
        assert logprobs == ({"4": -0.5, "5": -float("inf")} if lead else None)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 2}, (9, 2, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 2,
          "prompt_tokens_details": {"cached_tokens": 8}}, (9, 2, 8)),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, (9, 0, 0)),
        ({"prompt_tokens": -9, "completion_tokens": "2"}, (0, 0, 0)),
        (None, (0, 0, 0)),
    ],
)  # fmt: skip
def test_usage(usage, expected):
    found = usage_of({"usage": usage}, 1.5)
    assert (found.prompt_tokens, found.completion_tokens, found.cached_tokens) == expected
    assert found.seconds == 1.5


def test_seconds_are_those_of_the_good_attempt():
    with (
        Endpoint((429, refusal("wait"), {"Retry-After": "0.5"}), (200, reply(), {})) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url) as backend,
    ):
        began = time.monotonic()
        answer = outcome(backend)
        took = time.monotonic() - began
    assert answer.retries == 1
    assert 0 < answer.usage.seconds <= took - 0.5  # without the wait before it


def test_label_log_probabilities():
    labels = Labels(texts=("1", "2", "3"), after="Score: ")
    table = {"2": -0.2, "1": -1.8, "9": -5.0}
    with (
        FakeServer(answer="Score: 2", top_logprobs=table) as server,
        OpenAIBackend("m", base_url=server.url) as backend,
    ):
        answer = outcome(backend, ask(labels=labels, opening="Score: "))
        unasked = outcome(backend)
    assert answer.label_logprobs == {"1": -1.8, "2": -0.2, "3": -float("inf")}
    assert unasked.label_logprobs is None


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        {"content": None},
        {"content": [{"token": "2"}]},
        {"content": []},
        {
            "content": [
                {
                    "token": "2",
                    "top_logprobs": [
                        {"token": "2", "logprob": float("nan")},
                        {"token": "1", "logprob": -2.0},
                    ],
                }
            ]
        },
        {"content": [{"token": "2", "top_logprobs": [{"token": "2", "logprob": "-0.1"}]}]},
    ],
)
def test_an_endpoint_without_log_probabilities(logprobs):
    request = ask(labels=Labels(texts=("1", "2"), after="Score: "), opening="Score: ")
    assert wire().answer(reply("2", logprobs=logprobs), request, {}).label_logprobs is None


def test_the_sum_of_two_tokens_is_at_most_certain():
    top = [{"token": "2", "logprob": -0.6931}, {"token": " 2", "logprob": -0.6931}]
    logprobs = {"content": [{"token": "2", "top_logprobs": top}]}
    request = ask(labels=Labels(texts=("1", "2"), after="Score: "), opening="Score: ")
    found = wire().answer(reply("2", logprobs=logprobs), request, {}).label_logprobs
    assert found == {"1": -float("inf"), "2": 0.0}  # 0.50001 twice


SPREAD = {"content": [{"token": "The", "top_logprobs": [
    {"token": "The", "logprob": -0.5}, {"token": "2", "logprob": -1.2}, {"token": "1", "logprob": -2.3},
]}]}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "constrained", "masked", "text"),
    [
        ("vllm", False, False, "Score: 2"),  # read from unmasked probabilities
        ("llama.cpp", True, False, "Score: The"),
        ("none", False, False, "Score: The"),
    ],
)
def test_a_bare_score_has_probabilities_that_no_grammar_has_masked(kind, constrained, masked, text):
    request = ask(
        grammar=LARK, labels=Labels(texts=("1", "2"), after="Score: "), opening="Score: ",
        decoding=Decoding(max_tokens=1),
    )  # fmt: skip
    body = wire(kind).body(request)
    found = wire(kind).answer(reply("The", logprobs=SPREAD), request, body)
    assert (found.constrained, found.masked, found.text) == (constrained, masked, text)
    assert found.label_logprobs == {"1": -2.3, "2": -1.2}


@pytest.mark.parametrize(("kind", "masked"), [("vllm", True), ("auto", True), ("llama.cpp", False)])
def test_under_a_grammar_how_likely_any_label_is_is_not_known(kind, masked):
    request = ask(grammar=BOTH, labels=Labels(texts=("1", "2"), after="Score: "), opening="Score: ")
    body = wire(kind).body(request)
    found = wire(kind).answer(reply("2", logprobs=SPREAD), request, body)
    assert found.masked == masked


# ---- secrets, setting up, closing


def test_keys_and_texts_stay_inside(caplog):
    caplog.set_level(logging.DEBUG)
    echo = (401, refusal(f"Incorrect API key provided: {KEY}"), {})
    replies = [(500, b"", {}), (200, b"{", {}), (429, refusal(KEY), {}), echo]
    said = []
    with (
        Endpoint(*replies) as endpoint,
        OpenAIBackend("m", base_url=endpoint.url, api_key=KEY, max_retries=0) as backend,
    ):
        errors = [outcome(backend, ask(content=SECRET_TEXT)) for _ in replies]
        said += [repr(backend), str(backend)]
    with (
        FakeServer(always="half_json") as server,
        OpenAIBackend("m", base_url=server.url, api_key=KEY, max_retries=1) as backend,
    ):
        errors.append(outcome(backend, ask(content=SECRET_TEXT)))
        server.always = "reset"
        errors.append(outcome(backend, ask(content=SECRET_TEXT)))
    with OpenAIBackend("m", base_url=endpoint.url, api_key=KEY, max_retries=0) as backend:
        errors.append(outcome(backend, ask(content=SECRET_TEXT)))
    assert all(isinstance(error, BackendError) for error in errors)
    said += [repr(error) + str(error) for error in errors]
    said += ["".join(traceback.format_exception(error)) for error in errors]
    said += [repr(e) for error in errors for e in (error.__cause__, error.__context__)]
    said.append(caplog.text)
    assert "Incorrect API key provided: ***" in errors[3].message
    assert [text for text in said if KEY in text or SECRET_TEXT in text] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "127.0.0.1:8000"},
        {"base_url": "http://127.0.0.1:port/v1"},
        {"base_url": "http://[::1/v1"},
        {"base_url": "ftp://127.0.0.1/v1"},
        {"base_url": f"http://me:{KEY}@127.0.0.1/v1"},
        {"api_key": f"{KEY}\r\nx: y"},
        {"api_key": f"{KEY}ü"},
        {"timeout_s": 0},
        {"max_retries": -1},
        {"max_in_flight": 0},
        {"max_cost": 1.0},
        {"max_cost": -1.0, "price": PRICE},
        {"max_cost": float("nan"), "price": PRICE},
    ],
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(SetupError) as caught:
        OpenAIBackend("m", **settings)
    assert KEY not in str(caught.value)


def test_closing_ends_what_is_open():
    with FakeServer(delay_s=30) as server:
        backend = OpenAIBackend("m", base_url=server.url)
        futures = [backend.submit(ask(f"r{n}")) for n in range(100)]  # Some asked, some waiting.
        while server.stats()["in_hand"] < 8:
            time.sleep(0.01)
        began = time.monotonic()
        backend.close()
        assert time.monotonic() - began < 20
        errors = [future.exception(0) for future in futures]
        assert {type(error) for error in errors} == {Unavailable}
    assert "glider-openai" not in {thread.name for thread in threading.enumerate()}


def test_closing_while_waiting_to_retry():
    with FakeServer(always="server_error") as server:
        backend = OpenAIBackend("m", base_url=server.url, max_retries=1000)
        future = backend.submit(ask())
        while server.stats()["requests"] < 2:
            time.sleep(0.01)
        backend.close()
        assert isinstance(future.exception(0), Unavailable)


def test_a_callback_may_close_the_backend():
    with FakeServer() as server:
        backend = OpenAIBackend("m", base_url=server.url)
        closed = threading.Event()
        future = backend.submit(ask())
        future.add_done_callback(lambda _: (backend.close(), closed.set()))
        assert closed.wait(5)
        assert isinstance(backend.submit(ask()).exception(5), Unavailable)
        backend._thread.join(5)


def test_a_cancelled_request_is_not_asked():
    with FakeServer(delay_s=0.2) as server:
        with OpenAIBackend("m", base_url=server.url) as backend:
            gate = threading.Event()  # Keeps the loop busy until both are handed over.
            backend._loop.call_soon_threadsafe(gate.wait, 5)
            future, other = backend.submit(ask("a")), backend.submit(ask("b"))
            assert future.cancel()
            gate.set()
            assert isinstance(other.result(5), Generation)
        assert server.stats()["requests"] == 1


def test_many_threads_may_submit():
    with FakeServer(answer="4") as server, OpenAIBackend("m", base_url=server.url) as backend:
        with ThreadPoolExecutor(8) as pool:
            futures = list(pool.map(lambda n: backend.submit(ask(f"r{n}")), range(400)))
        assert [future.result(10).text for future in futures] == ["4"] * 400
        assert server.stats()["request_ids"] == 400
