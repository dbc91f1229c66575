"""What endpoints say is wrong, in every envelope we know of: the words arrive, the meaning is seen."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glider.backends._complaints import Complaint, error_of, read_reply
from glider.backends._openai_wire import Wire
from glider.core.errors import (
    AccessRefused,
    BackendError,
    BadResponse,
    Filtered,
    PromptTooLong,
    RateLimited,
    Refused,
    TimedOut,
    Unavailable,
)
from glider.core.generation import Decoding, GenerationRequest, Labels, Message


def said(status, body):
    """The complaint that a reply of this status is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = read_reply(status, data)
    assert isinstance(found, Complaint), f"read as an answer: {found}"
    return found


def openai(message, **more):
    return {"error": {"message": message, **more}}


def gemini(code, message, status="INVALID_ARGUMENT", **more):
    return [{"error": {"code": code, "message": message, "status": status, **more}}]


def anthropic(kind, message):
    return {"type": "error", "error": {"type": kind, "message": message}}


def vllm(code, message, kind="BadRequestError"):
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def openrouter(code, message, raw=None):
    metadata = {"raw": raw, "provider_name": "P"} if raw else {}
    return {"error": {"code": code, "message": message, "metadata": metadata}, "user_id": "u"}


def fastapi(*loc, msg, kind="extra_forbidden", **more):
    return {"detail": [{"type": kind, "loc": ["body", *loc], "msg": msg, **more}]}


def in_choice(code, message):
    error = {"code": code, "message": message}
    return {"choices": [{"message": {"content": ""}, "finish_reason": "error", "error": error}]}


def sse(*parts):
    lines = [f"data: {part if isinstance(part, str) else json.dumps(part)}\n\n" for part in parts]
    return b": OPENROUTER PROCESSING\n\n" + "".join(lines).encode()


RAW = json.dumps({"error": {"message": "upstream says no", "type": "invalid_request_error"}})
AZURE_FILTER = {
    "message": "The response was filtered due to the prompt triggering the policy.",
    "code": "content_filter",
    "status": 400,
    "innererror": {"code": "ResponsibleAIPolicyViolation"},
}

# Status, body, the error it is, and words that have to reach the user.
ENVELOPES = [
    # Keys
    (401, openai("Incorrect API key provided: sk-1.", code="invalid_api_key"), AccessRefused,
     "401: Incorrect API key provided"),
    (401, {"statusCode": 401, "message": "Access denied due to invalid subscription key."},
     AccessRefused, "invalid subscription key"),  # Azure's gateway
    (400, gemini(400, "API key not valid. Please pass a valid API key.",
     details=[{"reason": "API_KEY_INVALID"}]), AccessRefused, "API key not valid"),
    (401, anthropic("authentication_error", "invalid x-api-key"), AccessRefused, "x-api-key"),
    (401, vllm(401, "Unauthorized"), AccessRefused, "Unauthorized"),
    (401, {"detail": "Not authenticated"}, AccessRefused, "Not authenticated"),
    (401, openai("litellm.AuthenticationError: no key", type="auth_error", code="401"),
     AccessRefused, "litellm.AuthenticationError"),
    (200, openrouter(401, "No auth credentials found"), AccessRefused, "401: No auth credentials"),
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"},
     AccessRefused, "Incorrect API key"),  # xAI
    (401, b"", AccessRefused, "no reason given"),
    (401, b"<html><head><title>401 Authorization Required</title></head></html>", AccessRefused,
     "a web page: 401 Authorization Required"),
    (403, openai("You do not have access to this model.", code="permission_denied"),
     AccessRefused, "do not have access"),
    # Money
    (429, openai("You exceeded your current quota.", code="insufficient_quota"), AccessRefused,
     "exceeded your current quota"),
    (429, openai("pay", type="insufficient_quota"), AccessRefused, "pay"),
    (402, openai("Insufficient Balance", code="invalid_request_error"), AccessRefused, "Balance"),
    (400, anthropic("invalid_request_error", "Your credit balance is too low"), AccessRefused,
     "credit balance"),
    # Models
    (404, openai("The model `m` does not exist", code="model_not_found"), AccessRefused, "`m`"),
    (404, {"error": 'model "m" not found, try pulling it first'}, AccessRefused, "pulling"),
    (404, vllm(404, "The model `m` does not exist.", "NotFoundError"), AccessRefused, "`m`"),
    (400, openrouter(400, "m is not a valid model ID"), AccessRefused, "not a valid model ID"),
    (404, {"detail": "Not Found"}, AccessRefused, "Not Found"),
    (404, b"404 page not found\n", AccessRefused, "404 page not found"),
    (405, {"detail": "Method Not Allowed"}, AccessRefused, "Method Not Allowed"),
    (307, b"", AccessRefused, "another address"),
    # Waiting
    (429, openai("Rate limit reached"), RateLimited, "429: Rate limit reached"),
    (429, gemini(429, "You exceeded your current quota, please check your plan and billing details.",
     "RESOURCE_EXHAUSTED", details=[{"@type": "x/RetryInfo", "retryDelay": "17s"}]), RateLimited,
     "current quota"),
    (200, openai("Rate limit exceeded: free requests of the day are used up", code=429),
     RateLimited, "free requests of the day"),
    (429, openrouter(429, "Provider returned error", raw="busy upstream"), RateLimited,
     "busy upstream"),
    (429, b"slow down", RateLimited, "slow down"),
    (408, b"", TimedOut, "408"),
    (524, b"<html><title>example.com | 524: A timeout occurred</title></html>", TimedOut,
     "A timeout occurred"),
    (529, anthropic("overloaded_error", "Overloaded"), Unavailable, "Overloaded"),
    (200, anthropic("overloaded_error", "Overloaded"), Unavailable, "Overloaded"),
    (502, b"<html>\n<head><title>502 Bad Gateway</title></head><h1>502 Bad Gateway</h1></html>",
     Unavailable, "a web page: 502 Bad Gateway"),
    (503, b"upstream connect error or disconnect/reset before headers", Unavailable, "upstream"),
    (500, openai("no auth credentials for the shard"), Unavailable, "shard"),  # its own trouble
    (200, in_choice(502, "upstream overloaded"), Unavailable, "502: upstream overloaded"),
    (200, in_choice(401, "no auth"), AccessRefused, "401"),
    (200, sse({"error": {"code": 502, "message": "gone"}}), Unavailable, "gone"),
    # Filters
    (400, {"error": AZURE_FILTER}, Filtered, "triggering the policy"),
    (403, openrouter(403, "Your chosen model requires moderation and your input was flagged"),
     Filtered, "flagged"),
    (400, openai("Output data may contain inappropriate content.", code="data_inspection_failed"),
     Filtered, "inappropriate"),
    # What is the request's own fault
    (400, openai("bad"), Refused, "400: bad"),
    (400, openrouter(400, "Provider returned error", raw=RAW), Refused, "upstream says no"),
    (400, {"object": "error", "message": "old vLLM"}, Refused, "old vLLM"),
    (400, {"error": "ollama"}, Refused, "ollama"),
    (400, {"message": {"detail": [{"loc": ["body", "stop"], "msg": "no list"}]}}, Refused,
     "stop: no list"),  # Mistral
    (422, fastapi("tools", msg="Field required"), Refused, "tools: Field required"),
    (400, {"success": False, "errors": [{"code": 7003, "message": "Could not route"}]}, Refused,
     "Could not route"),  # Cloudflare's own
    (403, b"<html><title>Attention Required! | Cloudflare</title></html>", Refused, "Cloudflare"),
    (400, b"[" * 100_000, Refused, "400"),
    (418, [], Refused, "no reason given"),
    (422, {"detail": [{"loc": ["body"]}]}, Refused, "no reason given"),
    # 200, and no completion
    (200, {"error": "something broke"}, BadResponse, "something broke"),
    (200, b"", BadResponse, "no reason given"),
    (200, b"[]", BadResponse, "no completion"),
    (200, b"null", BadResponse, "no completion"),
    (200, b"<html><title>Sign in</title></html>", BadResponse, "a web page: Sign in"),
    (200, b'{"a": ', BadResponse, '{"a":'),
    (200, b"\xff", BadResponse, "no completion"),
    (200, b"[" * 99_999, BadResponse, "[["),
    (200, sse({"choices": [{"delta": {"content": "hal"}}]}), BadResponse, "hal"),  # cut
    (200, sse("{half"), BadResponse, "half"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "error", "words"), ENVELOPES)
def test_an_endpoint_s_own_words_arrive_classed_by_their_meaning(status, body, error, words):
    found = error_of(said(status, body))
    assert type(found) is error
    assert words in found.message
    assert len(found.message) < 400


def test_the_key_is_never_quoted_and_waits_are_understood():
    found = error_of(said(401, openai("Incorrect API key: sk-123456.")), secret="sk-123456")
    assert found.message == "401: Incorrect API key: ***."
    assert error_of(said(401, openai("axis")), secret="x").message == "401: axis"
    assert "OPENAI_API_KEY" in found.hint
    asked = said(429, gemini(429, "wait", details=[{"retryDelay": "17s"}]))
    assert error_of(asked).retry_after_s == 17
    assert error_of(asked, 3.0).retry_after_s == 3  # The header goes first.


# Words, what else stands in the error, tokens and limit as far as they are told.
TOO_LONG = [
    ("This model's maximum context length is 8192 tokens. However, your messages resulted in "
     "9001 tokens.", {"code": "context_length_exceeded"}, 9001, 8192),
    ("This model's maximum context length is 16384 tokens. However, you requested 122946 "
     "tokens (112946 in the messages, 10000 in the completion).", {"code": 400}, 122946, 16384),
    ("This model's maximum context length is 2048 tokens. However, your request has 2050 "
     "input tokens.", {}, 2050, 2048),
    ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", {},
     5000, 4096),
    ("request (9412 tokens) exceeds the available context size (8192 tokens), try increasing "
     "it", {"type": "exceed_context_size_error"}, 9412, 8192),
    ("the request exceeds the available context size", {"type": "exceed_context_size_error",
     "n_prompt_tokens": 13392, "n_ctx": 8192}, 13392, 8192),
    ("too long", {"code": "context_length_exceeded"}, None, None),
    # 1,900 and 200 do not fit together; neither number alone is above the limit.
    ("'max_tokens' is too large: 200. This model's maximum context length is 2048 tokens and "
     "your request has 1900 input tokens (200 > 2048 - 1900).", {}, None, 2048),
    ("prompt is too long: 210000 tokens > 200000 maximum", {"type": "invalid_request_error"},
     210000, 200000),
    ("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input "
     "length or `max_tokens` and try again", {}, 209573, 200000),
    ("The input token count (1,234,567) exceeds the maximum number of tokens allowed (1,048,576).",
     {}, 1234567, 1048576),
    ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", {},
     9000, 8192),
    ("Requested token count exceeds the model's maximum context length of 8192 tokens. You "
     "requested a total of 9001 tokens: 8001 tokens from the input messages and 1000 tokens for "
     "the completion.", {}, 9001, 8192),
    ("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 "
     "`inputs` tokens and 100 `max_new_tokens`", {}, 5000, 4096),
    ("This endpoint's maximum context length is 8192 tokens. However, you requested about 13311 "
     "tokens", {"code": 400}, 13311, 8192),
    ("litellm.ContextWindowExceededError: the prompt is too large", {"code": "400"}, None, None),
    ("Range of input length should be [1, 30720]", {}, None, 30720),
    ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", {},
     40000, 32768),
    ("This model's maximum prompt length is 131072 but the request contains 200000 tokens.", {},
     200000, 131072),
    ("Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded "
     "with context length of only 4096 tokens", {}, 5000, 4096),
    ("Input is too long for requested model.", {}, None, None),
    ("Request too large for m on tokens per min (TPM): Limit 6000, Requested 9000.", {}, 9000, 6000),
    ("Please reduce the length of the messages or completion.", {}, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("message", "more", "tokens", "limit"), TOO_LONG)
@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_context_that_is_full_is_known_by_any_wording(status, message, more, tokens, limit):
    error = error_of(said(status, openai(message, **more)))
    assert isinstance(error, PromptTooLong)
    assert (error.tokens, error.limit) == (tokens, limit)
    assert error.tokens or message[:200] in error.message


def test_what_is_too_large_for_the_gateway_is_too_long():
    page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
    assert isinstance(error_of(said(413, page)), PromptTooLong)


# ---- what can be done about it


def request(max_tokens=1024, temperature=0.0):
    return GenerationRequest(
        id="r",
        messages=(Message("user", "u"),),
        decoding=Decoding(max_tokens=max_tokens, temperature=temperature),
        labels=Labels(texts=("4", "5"), after=""),
    )


UNKNOWN_SEED = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
ONE_OF_TWO = "`temperature` and `top_p` cannot both be specified for this model. Please use one."

# Status, body and what is not as it was meant from then on.
LEFT_OUT = [
    (400, gemini(400, UNKNOWN_SEED), ["seed"]),
    (200, gemini(400, UNKNOWN_SEED), ["seed"]),
    (400, openai(ONE_OF_TWO), ["top_p"]),
    (400, openai("Unsupported value: 'temperature' does not support 0 with this model. Only the "
     "default (1) value is supported.", param="temperature"), ["temperature"]),
    (400, openai("invalid temperature: only 1 is allowed for this model"), ["temperature"]),
    (422, fastapi("seed", msg="Extra inputs are not permitted"), ["seed"]),
    (422, {"message": fastapi("seed", msg="Extra inputs are not permitted")}, ["seed"]),
    (400, openrouter(400, "Provider returned error", raw=json.dumps(openai("no logprobs here"))),
     ["logprobs", "top_logprobs"]),
    (400, openai("Setting 'logprobs' is not supported", param="logprobs"),
     ["logprobs", "top_logprobs"]),
    # Bounds are met.
    (400, openai("max_tokens is too large: 1024. This model supports at most 512 completion tokens, "
     "whereas you provided 1024.", param="max_tokens"), ["max_tokens=512"]),
    (400, anthropic("invalid_request_error", "max_tokens: 1024 > 512, which is the maximum allowed "
     "number of output tokens for claude-3-5-sonnet-20240620"), ["max_tokens=512"]),
    (400, openai("`max_tokens` must be less than or equal to `512`, the maximum value for "
     "`max_tokens` is less than the `context_window` for this model"), ["max_tokens=512"]),
    (400, gemini(400, "Unable to submit request because it has a maxOutputTokens value of 1024 but "
     "the supported range is from 1 (inclusive) to 513 (exclusive)."), ["max_tokens=512"]),
    (402, openrouter(402, "This request requires more credits, or fewer max_tokens. You requested "
     "up to 1024 tokens, but can only afford 512"), ["max_tokens=512"]),
    (400, openai("Range of max_tokens should be [1, 512]"), ["max_tokens=512"]),
    (400, openai("Invalid value for 'top_logprobs': must be between 0 and 5, inclusive."),
     ["top_logprobs=5"]),
    (400, vllm(400, "Requested sample logprobs of 20, which is greater than max allowed: 5"),
     ["top_logprobs=5"]),
    (422, fastapi("top_logprobs", msg="Input should be less than or equal to 8",
     kind="less_than_equal", ctx={"le": 8}), ["top_logprobs=8"]),
    (400, openai("top_logprobs must be between 0 and 0"), ["logprobs", "top_logprobs"]),
    (422, {"error": "Input validation error: `temperature` must be strictly positive"},
     ["temperature=0.01"]),
    (422, fastapi("seed", msg="Input should be greater than 0", kind="greater_than"), ["seed=1"]),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "changed"), LEFT_OUT)
def test_only_what_was_refused_is_changed(status, body, changed):
    wire, asked = Wire("m", "auto"), request()
    before = wire.body(asked)
    assert wire.adapt(said(status, body), before)
    after = wire.body(asked)
    assert list(wire.adjusted(asked, after)) == changed
    names = {change.partition("=")[0] for change in changed}
    assert {k: v for k, v in after.items() if k not in names} == {
        k: v for k, v in before.items() if k not in names
    }


def test_a_bound_holds_for_what_lies_beyond_it_alone():
    wire = Wire("m", "auto")
    told = openai("Invalid 'max_tokens': integer below minimum value. Expected >= 16, but got 1.")
    assert wire.adapt(said(400, told), wire.body(request(max_tokens=1)))
    assert [wire.body(request(max_tokens=n))["max_tokens"] for n in (1, 64)] == [16, 64]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (
            400,
            openai(
                "Unsupported value: 'messages' holds a role it does not know.", param="messages"
            ),
        ),
        (400, openai("The temperature of this request is fine", param="messages")),
        (400, openai("max_tokens: 1024 > 4 is too much")),  # That would be no answer.
        (500, openai("seed")),
        (400, openai("bad")),
    ],
)
def test_what_cannot_be_left_out_is_not(status, body):
    wire = Wire("m", "auto")
    assert wire.adapt(said(status, body), wire.body(request())) == ""


def test_a_stream_that_nobody_asked_for_is_read():
    parts = [
        {"id": "1", "choices": [{"delta": {"role": "assistant", "content": "Score"}}]},
        {"choices": [{"delta": {"content": ": 4", "reasoning_content": "Hm."}}]},
        {"choices": [{"delta": {}, "finish_reason": "length"}]},
        {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}},
        "[DONE]",
    ]
    reply = read_reply(200, sse(*parts))
    assert reply["choices"][0]["message"]["content"] == "Score: 4"
    assert reply["choices"][0]["message"]["reasoning_content"] == "Hm."
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["prompt_tokens"] == 9


WORDS = st.sampled_from(
    [*("error", "errors", "detail", "message", "msg", "code", "status", "type", "loc", "param"),
     *("metadata", "raw", "choices", "delta", "finish_reason", "details", "retryDelay", "n_ctx"),
     *("max_tokens", "temperature 0", "[1, 5]", "at most 5", "{", "401", "429", "17s", "data: {}")]
)  # fmt: skip
REPLIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(st.sampled_from([200, 302, 400, 402, 403, 404, 422, 429, 500]), REPLIES, st.booleans())
@settings(max_examples=300)
def test_whatever_an_endpoint_sends_is_an_answer_or_one_error(status, value, streams):
    data = json.dumps(value).encode()
    found = read_reply(status, b"data: " + data + b"\n\ndata: [DONE]\n" if streams else data)
    if isinstance(found, Complaint):
        assert isinstance(error_of(found), BackendError)
        wire = Wire("m", "auto")
        wire.adapt(found, wire.body(request()))
    else:
        assert status == 200
        with suppress(BackendError):
            Wire("m", "auto").answer(found, request(), {})


@given(st.sampled_from([200, 400, 502]), st.binary(max_size=200))
@settings(max_examples=200)
def test_whatever_bytes_come_are_one_error(status, data):
    found = read_reply(status, data)
    assert isinstance(found, dict) or isinstance(error_of(found), BackendError)
