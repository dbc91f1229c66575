"""Files as people have them, from the command to the texts that the judge was shown."""

import datetime
import decimal
import json

import in_process
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glider.testing.server import FakeServer

ANSWER = json.dumps({"reasoning": "Fine.", "highlights": [], "score": 4})
OWN = {
    "criterion": {"name": "clear", "description": "Is it clear?"},
    "rubric": {str(n): f"level {n}" for n in range(1, 6)},
}


@pytest.fixture(scope="module")
def server():
    with FakeServer(answer=ANSWER) as running:
        yield running


@pytest.fixture
def judge(tmp_path, server):
    """Judge a file; gives what was said, the texts that were shown, and the summary."""

    def run(name, content, *words, code=0):
        path = tmp_path / name
        if isinstance(content, pa.Table):
            pq.write_table(content, path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = in_process.glider(
            "judge", name, "--model", "openai/fake", "--run", "run", *words,
            cwd=tmp_path, env={"OPENAI_BASE_URL": server.url, "COLUMNS": "300"},
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        samples = tmp_path / "run" / "samples.jsonl"
        shown = []
        if samples.exists():
            rows = map(json.loads, samples.read_text("utf-8").splitlines())
            shown = [({f["name"]: f["text"] for f in r["fields"]}, r["metadata"]) for r in rows]
        summary = tmp_path / "run" / "summary.json"
        return done.stderr, shown, json.loads(summary.read_text()) if summary.exists() else {}

    return run


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


PLAIN = {"output": ["At nine.", "At ten."], "input": ["When?", "When?"]}
FAR = pa.array([2932897, None], pa.int32()).cast(pa.date32())
RATED = [{"at": datetime.datetime(2024, 1, 2), "by": decimal.Decimal("1.5"), "raw": b"\xff"}, None]
RECORD = {
    **PLAIN,
    "criterion": [OWN["criterion"]] * 2,
    "rubric": [OWN["rubric"]] * 2,
}


@pytest.mark.parametrize(
    ("name", "content", "words", "texts", "said"),
    [
        ("a.parquet", pa.table(PLAIN | {"until": FAR}), ["-c", "conciseness"],
         ["At nine.", "At ten."], "used: input, output; not used: until"),
        ("a.parquet", pa.table(PLAIN | {"until": FAR}),
         ["-c", "conciseness", "--map", "until=until"], ["At nine.", "At ten."], ""),
        ("a.jsonl", '{"id":1,"output":"a","s":NaN}\n{"output":"b","reference":NaN}\n',
         ["-c", "conciseness"], ["a", "b"], "not used: s"),
        ("a.json", '[{"instruction": "Name a colour.", "output": "Blue", "generator": "m1"}]',
         ["-c", "conciseness"], ["Blue"], "used: instruction as input, output; not used: generator"),
        ("a.jsonl", lines({"output": "a", "question": "q"}), ["-c", "conciseness"], ["a"],
         "used: output; not used: question (--map input=question)"),
        ("a.csv", "id,input,output,,\n1,When?,At nine.,,\n", ["-c", "conciseness"], ["At nine."], ""),
        ("a.csv", b"id,output,note\n1,a,caf\xe9\n", ["-c", "conciseness"], ["a"], "not used: note"),
        ("a.jsonl", lines(
            {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None},
                          {"role": "user", "content": "?"}, {"role": "assistant", "content": "a"}]},
            {"messages": [{"role": "assistant", "content": None, "refusal": "No."}]}),
         ["-c", "conciseness"], ["a", "No."], ""),
    ],
)  # fmt: skip
def test_files_that_are_judged(judge, name, content, words, texts, said):
    told, shown, summary = judge(name, content, *words)
    assert [fields["output"] for fields, _ in shown] == texts
    assert (summary["judged"], summary["failed"]) == (len(texts), 0)
    assert said in told
    assert bool(said) == ("not used" in told)


def test_what_a_record_carries_besides_is_kept_as_text_or_number(judge):
    labels = [decimal.Decimal("4.50"), decimal.Decimal("2")]
    table = pa.table(RECORD | {"label": labels, "meta": RATED})
    _, shown, summary = judge("a.parquet", table, "-c", "record")
    raw = "(holds 1 bytes that are no UTF-8 text)"
    assert [kept for _, kept in shown] == [
        {"label": 4.5, "meta": {"at": "2024-01-02 00:00:00", "by": 1.5, "raw": raw}},
        {"label": 2, "meta": None},
    ]
    assert summary["judged"] == 2


def test_the_lines_of_a_broken_record_are_counted(judge):
    text = 'id,input,output\n1,When?,"He said \\"nine\\" and\nthen left, at once, quickly"\n2,W,C\n'
    told, shown, summary = judge("a.csv", text, "-c", "conciseness", "--fail-on", "50%", code=5)
    assert [fields for fields, _ in shown] == [{"input": "W", "output": "C"}]
    assert (summary["asked"], summary["failed"]) == (3, 2)
    assert "are quotes escaped by a backslash?" in told


def test_another_separator_is_named(judge):
    told, shown, _ = judge("a.csv", "\ufeffid;input;output\n1;When?;At nine, sharp.\n",
                           "-c", "conciseness", code=3)  # fmt: skip
    assert shown == []
    assert "'id;input;output': are the cells separated by semicolons?" in told
    assert "Traceback" not in told


def test_the_question_of_a_long_conversation_is_shown(judge):
    before = [
        {"role": "user", "content": "Hello there"},
        {"role": "assistant", "content": "Hello! What can I do?"},
        {"role": "user", "content": "How much is 17 plus 4?"},
    ]
    talks = [[*before, {"role": "assistant", "content": f"It is {n}."}] for n in (21, 23)]
    row = {"prompt": "Hello there", "chosen": talks[0], "rejected": talks[1]}
    _, shown, _ = judge("a.jsonl", lines(row), "-c", "helpfulness", code=4)
    assert shown[0][0]["input"].endswith("user: How much is 17 plus 4?")
