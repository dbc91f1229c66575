"""What public reports say of endpoints and judges, from the command to what the user is told."""

import json

import pytest
from endpoint import Endpoint, refusal, reply
from in_process import glider

GOOD = {"reasoning": "Short and clear.", "highlights": ["nine"], "score": 4}
JSON = json.dumps(GOOD)
TAGS = "<reasoning>\nx\n</reasoning>\n<highlight>\n['nine']\n</highlight>\n<score>\n4\n</score>"
UNKNOWN_SEED = 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'
BOTH = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
TOO_LONG = "This endpoint's maximum context length is 80 tokens. However, you requested about 133"


def error_list(body):
    refused = [{"error": {"code": 400, "message": UNKNOWN_SEED, "status": "INVALID_ARGUMENT"}}]
    return (400, refused, {}) if "seed" in body else (200, reply(JSON), {})


def one_of_two(body):
    both = "temperature" in body and "top_p" in body
    return (400, refusal(BOTH), {}) if both else (200, reply(JSON), {})


def too_long_in_200(body):
    long = len(body["messages"][-1]["content"]) > 1500
    return 200, refusal(TOO_LONG, code=400) if long else reply(JSON), {}


def nan_logprob(body):
    before, after = TAGS.split("4\n</score>")[0], "\n</score>"
    top = [{"token": "4", "logprob": float("nan")}, {"token": "5", "logprob": -2.0}]
    content = [
        {"token": before, "top_logprobs": []},
        {"token": "4", "top_logprobs": top},
        {"token": after, "top_logprobs": []},
    ]
    return 200, reply(TAGS, logprobs={"content": content}), {}


def streamed(body):
    part = {"choices": [{"delta": {"content": JSON}, "index": 0}]}
    return 200, f"data: {json.dumps(part)}\n\ndata: [DONE]\n\n".encode(), {}


def said(content, **message):
    return 200, reply(message={"role": "assistant", "content": content, **message}), {}


def one(tmp_path, answer, *words):
    """One text judged at an endpoint that gives this answer."""
    with Endpoint(answer) as endpoint:
        finished = glider(
            *("judge", "--output", "We open at nine.", "-c", "conciseness", "--json"),
            *("-m", "openai/stub", "--base-url", endpoint.url, "--max-retries", "1", *words),
            cwd=tmp_path,
            env={"OPENAI_API_KEY": "x"},
        )
    assert "Traceback" not in finished.stderr
    outcome = json.loads(finished.stdout) if finished.stdout else None
    return finished, outcome, endpoint.seen


@pytest.mark.parametrize(
    ("answer", "words", "expected"),
    [
        (error_list, [], {"adjusted": ["seed"]}),
        (streamed, [], {}),
        (one_of_two, [], {"adjusted": ["top_p"]}),
        (said("<think>\nA 2 is low: {\"score\": 2}\n</think>\n\n" + JSON), [], {}),
        (said(json.dumps({**GOOD, "confidence": 0.9})), [], {"repaired": ["extra key: confidence"]}),
        (said("Here is it:\n```JSON\n" + JSON + "\n```"), [], {"repaired": ["text around the JSON"]}),
        (said("```JSON\n" + JSON + "\n```"), [], {}),
        (said(json.dumps({**GOOD, "score": "4"})), [], {"repaired": ["score written as text"]}),
        (said(JSON.replace(" and", "\nand")), [], {"repaired": ["line break inside a string"]}),
        (nan_logprob, ["--format", "glider"], {"score_probs": None, "expected": None, "mass": None}),
    ],
    ids=["07a", "07b-stream", "08a", "09a-think", "11a-key", "11a-prose", "11a-fence", "11a-text",
         "11a-newline", "10a"],
)  # fmt: skip
def test_what_is_harmless_is_judged_and_told(tmp_path, answer, words, expected):
    finished, outcome, seen = one(tmp_path, answer, *words)
    assert (finished.returncode, outcome["score"]) == (0, 4)
    for key in ("adjusted", "repaired"):
        assert outcome.get(key, []) == expected.get(key, [])
    assert {key: outcome[key] for key in expected} == expected
    assert seen[-1]["temperature"] == 0.0


@pytest.mark.parametrize(
    ("answer", "code", "told", "asked"),
    [
        ((200, refusal("Rate limit exceeded: free requests of the day are used up", code=429), {}),
         "rate_limited", "free requests of the day", 2),
        ((200, refusal("No auth credentials found", code=401), {}), "access_refused",
         "No auth credentials found", 1),
        ((200, refusal(TOO_LONG, code=400), {}), "prompt_too_long", "--truncate", 1),
        ((200, {"choices": [{"message": {"content": ""}, "finish_reason": "error",
          "error": {"code": 502, "message": "upstream overloaded"}}]}, {}), "unavailable",
         "upstream overloaded", 2),
        (said(None, reasoning_content="Thinking. " + JSON), "no_answer", "reasoning parser", 1),
        (said(json.dumps({**GOOD, "score": "4/5"})), "score_outside_rubric", "'4/5'", 1),
    ],
    ids=["07b-rate", "07b-key", "07c-long", "07c-choice", "09a-content", "11a-of-five"],
)  # fmt: skip
def test_what_cannot_be_judged_says_why_in_the_endpoint_s_words(
    tmp_path, answer, code, told, asked
):
    finished, outcome, seen = one(tmp_path, answer)
    assert finished.returncode == 4
    assert told in finished.stderr
    assert code in finished.stderr
    assert outcome is None or outcome["code"] == code
    assert len(seen) == asked


def test_a_context_that_is_full_under_status_200_is_met_by_truncate(tmp_path):
    words = ["--truncate", "--context", "word " * 400]
    finished, outcome, _ = one(tmp_path, too_long_in_200, *words)
    assert (finished.returncode, outcome["score"]) == (0, 4)
    assert outcome["cuts"][0]["field"] == "context"


def test_forty_rows_with_a_wrong_key_cost_one_request_and_the_summary_counts_repairs(tmp_path):
    rows = [json.dumps({"output": f"We open at {n}."}) for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    extra = (200, reply(json.dumps({**GOOD, "confidence": 0.9})), {})
    words = ["judge", "rows.jsonl", "-c", "conciseness", "-m", "openai/stub", "--run", "r"]
    with Endpoint((200, refusal("No auth credentials found", code=401), {}), extra) as endpoint:
        ended = glider(*words, "--base-url", endpoint.url, cwd=tmp_path)
        assert (ended.returncode, len(endpoint.seen)) == (4, 1)
        assert "--resume" in ended.stderr
        ended = glider(*words, "--base-url", endpoint.url, "--resume", cwd=tmp_path)
    assert ended.returncode == 0
    assert "extra key: confidence" in ended.stderr
    summary = json.loads((tmp_path / "r/summary.json").read_text())
    assert summary["repaired"] == {"extra key: confidence": 40}
    glider("report", "r", cwd=tmp_path)
    assert "extra key: confidence" in (tmp_path / "r/report.html").read_text()


@pytest.mark.parametrize("proxy", ["127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_proxy_is_taken_as_curl_takes_it_or_named(tmp_path, proxy):
    """Nobody listens at port 9; what counts is that the proxy was understood."""
    finished = glider(
        *("judge", "--output", "hi", "-c", "clarity", "-m", "openai/stub", "--max-retries", "0"),
        *("--base-url", "http://judge.example.com/v1"),
        cwd=tmp_path,
        env={"HTTP_PROXY": proxy, "http_proxy": proxy, "no_proxy": "", "NO_PROXY": ""},
    )
    told = finished.stderr + finished.stdout
    if "socks" in proxy:
        assert (finished.returncode, "HTTP_PROXY" in told) == (2, True)
    else:
        assert (finished.returncode, "cannot reach 127.0.0.1:9" in told) == (4, True)
