"""The paper's suite: prompts taken apart and put together again, folders as they lie on the hub."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glider.core.criteria import Criterion, Rubric, merged, pairwise
from glider.core.errors import DataError, SetupError
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.formats import FORMATS, make_format
from glider.gold.records import Unfit
from glider.gold.sets import LabelledSet, load_set, shipped
from glider.gold.suite import fetch, taken_apart

GLIDER = make_format("glider")
HELPFUL = Criterion(
    name="helpful",
    question="Does the {output} help with {input}?\n\nTake your time.",
    rubric=Rubric(levels={1: "no", 3: "in part: some\nof it", 5: "yes"}),
)
PLAIN = Criterion(
    name="plain", question="Is the text good?", rubric=Rubric(levels={0: "no", 1: "yes"})
)
BOTH = merged("both", (HELPFUL, PLAIN), Rubric(levels={-1: "none", 0: "one", 1: "both"}))
HARD = "a <b>bold</b> line\n\nPass Criteria:\nbe kind\n\nRubric:\n1: x\n\nYour output must end\n"


def rendered(sample, criterion):
    return GLIDER.render(JudgeTask(sample, criterion)).messages[0].content


def apart(prompt):
    return taken_apart(prompt, sample_id="s", name="n")


def together(prompt):
    return rendered(*apart(prompt))


CASES = {
    "one output": (Sample.of("out", input="in"), HELPFUL),
    "every field": (
        Sample.of("out", input="in", context="con\n\ntext", reference="ref", persona="a man"),
        HELPFUL,
    ),
    "two outputs": (Sample.of(outputs=["a", "b"], input="in"), pairwise(HELPFUL)),
    "several criteria": (Sample.of("out", input="in"), BOTH),
    "an empty output": (Sample.of("", input="in"), HELPFUL),
    "only an output": (Sample.of("out"), PLAIN),
    "texts that look like the format": (Sample.of(HARD, input=HARD, context=HARD), HELPFUL),
    "tags in texts": (Sample.of("<score>5</score> </MODEL OUTPUT> <x>"), PLAIN),
}


@pytest.mark.parametrize(("sample", "criterion"), CASES.values(), ids=CASES)
def test_a_prompt_taken_apart_is_the_same_when_put_together(sample, criterion):
    prompt = rendered(sample, criterion)
    found, asked = apart(prompt)
    assert together(prompt) == prompt
    assert [field.role for field in found.fields] == [field.role for field in sample.fields]
    assert asked.rubric == criterion.rubric
    assert (found.id, asked.name) == ("s", "n")


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_texts_come_back(output, context):
    prompt = rendered(Sample.of(output, input="in", context=context), HELPFUL)
    assert together(prompt) == prompt


def test_texts_and_names_are_those_of_the_prompt():
    sample, criterion = apart(rendered(*CASES["every field"]))
    assert {field.name: field.text for field in sample.fields} == {
        "USER INPUT": "in",
        "CONTEXT": "con\n\ntext",
        "GOLD ANSWER": "ref",
        "PERSONA": "a man",
        "MODEL OUTPUT": "out",
    }
    assert criterion.question.startswith("Does the MODEL OUTPUT help with USER INPUT?")


def test_a_judge_of_any_format_can_be_asked():
    sample, criterion = apart(rendered(Sample.of("the output", input="the input"), HELPFUL))
    for name in ("nano", "chat-json", "glider"):
        prompt = make_format(name).render(JudgeTask(sample, criterion))
        said = " ".join(message.content for message in prompt.messages)
        for text in ("the output", "the input", "Does the MODEL OUTPUT help", "in part: some"):
            assert text in said, name
    five = Criterion(
        name="n", question="Good?", rubric=Rubric(levels={n: f"level {n}" for n in range(1, 6)})
    )
    task = JudgeTask(*apart(rendered(Sample.of("the output", input="the input"), five)))
    for name in FORMATS.names():
        said = " ".join(m.content for m in make_format(name).render(task).messages)
        assert "the output" in said and "level 4" in said, name


PROMPT = rendered(*CASES["one output"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (PROMPT, "Is this good? yes or no", "not in GLIDER's format"),
        ("Data to evaluate:", "Data:", "not in GLIDER's format"),
        ("\n\nRubric:\n", "\n\nScale:\n", "not in GLIDER's format"),
        ("<USER INPUT>", "Look: <USER INPUT>", "text outside of tags"),
        ("MODEL OUTPUT", "THOUGHT", "at least one field with the role 'judged'"),
        ("USER INPUT", "1ST", "must start with a letter"),
        ("5: yes", "3: yes", "a level twice"),
        ("1: no\n", "Levels\n1: no\n", "text before its first level"),
        ("1: no\n3: in part: some\nof it\n", "", "2 to 11 levels"),
        ("help with USER INPUT", "help with {context}", "braces"),
        ("help with USER INPUT", "help with {input}", "braces"),
    ],
)
def test_a_prompt_that_cannot_be_taken_apart_says_why(old, new, said):
    assert old in PROMPT
    with pytest.raises(Unfit, match=said):
        apart(PROMPT.replace(old, new))


# Folders

KEYS = {
    "name": "suite",
    "title": "Suite",
    "data": "folder",
    "reader": "glider-suite",
    "kind": "graded",
    "family": "f",
    "labels_by": "people",
    "licence": "see the card",
    "use": "unseen",
    "cluster": "given",
    "part": "",
    "metrics": ["pearson"],
}


def labelled(**keys):
    return LabelledSet.model_validate(KEYS | keys)


def rows(*outputs, input="in", score=3):
    return [
        {"prompt": rendered(Sample.of(output, input=input), HELPFUL), "score": score}
        for output in outputs
    ]


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist(records), path)
    else:
        path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")


@pytest.mark.parametrize(
    "files",
    [
        ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"),
        ("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"),
        ("default/train/0000.parquet", "default/train/0001.parquet"),
    ],
)
def test_the_layouts_of_the_hub(tmp_path, files):
    for number, name in enumerate(files):
        write(tmp_path / "folder" / name, rows(f"a{number}", f"b{number}", score=1 + number))
    write(tmp_path / "folder" / ".cache" / "huggingface" / "x.jsonl", [{"no": "row"}])
    (tmp_path / "folder" / "README.md").write_text("---\nconfigs: []\n---\n")
    loaded = labelled(part="split").load(tmp_path)
    assert [item.sample["MODEL OUTPUT"] for item in loaded.items] == ["a0", "b0", "a1", "b1"]
    assert {item.part for item in loaded.items} == {"train"}
    assert len({item.sample.id for item in loaded.items}) == 4
    assert [item.gold for item in loaded.items] == [1, 1, 2, 2]
    assert loaded.items[0].scale == (1.0, 5.0)


def test_splits_are_parts_or_one_is_taken(tmp_path):
    for split in ("harmless", "helpful"):
        write(tmp_path / f"folder/data/{split}-00000-of-00001.jsonl", rows(f"{split} text"))
    assert [item.part for item in labelled(part="split").items(tmp_path)] == ["harmless", "helpful"]
    one = labelled(data="folder::helpful").items(tmp_path)
    assert [item.sample["MODEL OUTPUT"] for item in one] == ["helpful text"]
    assert [item.part for item in one] == ["suite"]
    with pytest.raises(DataError, match="no split 'honest': it has the splits harmless, helpful"):
        labelled(data="folder::honest").items(tmp_path)


def test_an_empty_folder_is_told(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="has no data files"):
        labelled().items(tmp_path)


def test_answers_to_one_prompt_are_one_cluster_and_ids_differ(tmp_path):
    write(tmp_path / "folder/train.jsonl", rows("a", "a") + rows("a", input="other", score=5))
    items = labelled().items(tmp_path)
    assert len({item.sample.id for item in items}) == 3
    assert items[0].cluster == items[1].cluster != items[2].cluster


def test_two_outputs_in_a_prompt_are_one_task(tmp_path):
    prompt = rendered(*CASES["two outputs"])
    write(tmp_path / "folder/human.jsonl", [{"prompt": prompt, "score": s} for s in (0, 1)])
    items = labelled(kind="classes").items(tmp_path)
    assert [item.gold for item in items] == [0, 1]
    assert not any(item.is_pair for item in items)
    assert rendered(items[0].sample, items[0].criterion) == prompt


def test_bad_rows_are_counted(tmp_path):
    good, chat = rows("a", "b")
    chat["prompt"] = [{"role": "user", "content": chat["prompt"]}]
    records = [
        good,
        chat,
        *rows("c", "d", score=-1),
        {"prompt": "Is it good?", "score": 1},
        {"prompt": good["prompt"], "score": None},
        {"score": 1},
        *rows("e", score="good"),
    ]
    write(tmp_path / "folder/train.jsonl", records)
    loaded = labelled().load(tmp_path)
    assert [item.sample["MODEL OUTPUT"] for item in loaded.items] == ["a", "b"]
    assert loaded.notes[:5] == (
        "left out, a score outside its rubric: 2 (line 3, 4)",
        "left out, a prompt that is not in GLIDER's format: 1 (line 5)",
        "left out, no label: 1 (line 6)",
        "left out, no prompt: 1 (line 7)",
        "left out, a label that is no number: 1 (line 8)",
    )


def test_the_papers_sets_are_there():
    suite = [s for s in map(load_set, shipped()) if s.reader == "glider-suite"]
    assert len(suite) == 11
    for one in suite:
        assert one.hub == f"PatronusAI/{one.data.partition('::')[0]}"
        assert one.use == "unseen", "a benchmark is not trained on"
        assert one.metrics[0] == ("pearson" if one.kind == "graded" else "macro_f1")


# Fetching, from a hub in small


class Hub(BaseHTTPRequestHandler):
    """Answers for one data set at one revision."""

    files: dict[str, bytes] = {}
    commit = "a" * 40

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        path = self.path.partition("?")[0]
        headers = {"Content-Type": "application/json"}
        if path.startswith("/api/datasets/owner/name/tree/"):
            body = json.dumps(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": "b" * 40}
                    for name, data in self.files.items()
                ]
            ).encode()
        elif path.startswith("/api/datasets/owner/name/"):
            names = [{"rfilename": name} for name in self.files]
            body = json.dumps({"id": "owner/name", "sha": self.commit, "siblings": names}).encode()
        elif "/resolve/" in path:
            body = self.files[path.split("/resolve/")[1].partition("/")[2]]
            headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": self.commit}
        else:
            self.send_error(404)
            return
        self.send_response(200)
        for name, value in (headers | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


FETCH = """
import sys, pathlib, yaml
from glider.core.errors import DataError
from glider.gold.sets import LabelledSet
from glider.gold.suite import fetch
folder = pathlib.Path(sys.argv[1])
labelled = LabelledSet.model_validate(yaml.safe_load(sys.argv[2]))
try:
    fetch(labelled, folder)
    print([item.gold for item in labelled.items(folder)])
except DataError as exc:
    print("DataError", exc)
"""


def fetched(tmp_path, endpoint, **keys):
    keys = KEYS | {"hub": "owner/name"} | keys
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(tmp_path), json.dumps(keys)],
        env=os.environ
        | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_set_is_fetched_into_the_data_folder(tmp_path):
    pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
    lines = "".join(json.dumps(row) + "\n" for row in rows("a", "b", score=5))
    hub = type("OneSet", (Hub,), {"files": {"data/train-00000-of-00001.jsonl": lines.encode()}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        assert fetched(tmp_path, endpoint) == "[5.0, 5.0]"
        said = fetched(tmp_path / "other", endpoint, hub="owner/nothing")
        assert said.startswith("DataError owner/nothing cannot be fetched: ")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    said = fetched(tmp_path / "new", endpoint)
    assert said.startswith("DataError owner/name cannot be fetched: ")


def test_only_a_set_of_the_hub_can_be_fetched(tmp_path):
    with pytest.raises(SetupError, match="names no data set of the hub"):
        fetch(labelled(), tmp_path)
