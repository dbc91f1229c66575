"""The shipped criteria, and users' files, good and bad."""

from pathlib import Path

import pytest

from glider.core.errors import CriterionError, RubricError, SetupError, UnknownName
from glider.core.samples import Sample
from glider.data.library import library, load_criteria, load_criterion
from glider.data.yaml_files import mapping

pytestmark = pytest.mark.filterwarnings("error")


def file(folder, content, name="mine.yaml"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Shipped


def test_every_shipped_criterion():
    criteria = library()
    assert len(criteria) >= 40
    assert list(criteria) == sorted(criteria)
    sample = Sample.of("a", input="q", context="c", reference="r")
    labels = {name: f"<{name}>" for name in ("input", "context", "reference", "output")}
    for name, criterion in criteria.items():
        assert criterion.name == name, "the file is called after its criterion"
        assert criterion.title
        assert criterion.group
        question = criterion.question_for(sample, labels)
        assert "<output>" in question, name
        assert "{" not in question, name
        assert len(set(criterion.rubric.levels.values())) == len(criterion.rubric.levels), name
    for what in ("title", "question", "content_id"):
        values = [getattr(criterion, what) for criterion in criteria.values()]
        assert len(set(values)) == len(values), f"two criteria have the same {what}"
    questions = sorted((len(c.question), name) for name, c in criteria.items())
    levels = sorted(len(text) for c in criteria.values() for text in c.rubric.levels.values())
    print(
        f"{len(criteria)} criteria; questions {questions[0]} to {questions[-1]} characters; "
        f"levels {levels[0]} to {levels[-1]}"
    )
    assert questions[0][0] >= 80
    assert questions[-1][0] <= 700
    assert levels[0] >= 10
    assert levels[-1] <= 250


def test_by_name():
    criterion = load_criterion("faithfulness")
    assert criterion == library()["faithfulness"]
    assert load_criteria("faithfulness") == [criterion]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("faithfulnes", "no criterion called 'faithfulnes'; did you mean 'faithfulness'"),
        ("zzz", "name a file ending in .yaml or .json"),
        ("", "no criterion called ''"),
        ("..", "no criterion called '..'"),
    ],
)
def test_names_nobody_knows(name, said):
    with pytest.raises(UnknownName) as caught:
        load_criterion(name)
    assert said in str(caught.value)


# Users' files

MINE = """\
name: mine
question: Is the {output} mine?
rubric:
  1: no
  2: yes, it is
"""
GOOD = MINE.replace("1: no", "1: not at all")
OTHER = GOOD.replace("name: mine", "name: other")
INDENTED = "- " + "  ".join(GOOD.splitlines(keepends=True))
JSON = '{"name": "mine", "question": "Is it?", "rubric": {"1": "not at all", "2": "yes"}}'


@pytest.mark.parametrize(
    ("name", "content", "names"),
    [
        ("a.yaml", GOOD, ["mine"]),
        ("a.yml", GOOD, ["mine"]),
        ("a.YAML", "\ufeff" + GOOD.replace("\n", "\r\n"), ["mine"]),
        ("a.yaml", GOOD.replace("  1:", "  '1':"), ["mine"]),  # numeric strings are scores
        ("a.yaml", GOOD.replace("  1:", "  1.0:"), ["mine"]),
        ("a.yaml", f"{GOOD}---\n{OTHER}---\n", ["mine", "other"]),
        ("a.yaml", INDENTED + INDENTED.replace("mine", "other"), ["mine", "other"]),
        ("a.yaml", JSON, ["mine"]),
        ("a.json", JSON, ["mine"]),
        ("a.json", f"[{JSON}, {JSON.replace('mine', 'other')}]", ["mine", "other"]),
    ],
)
def test_files(tmp_path, name, content, names):
    path = file(tmp_path, content, name)
    criteria = load_criteria(path)
    assert [criterion.name for criterion in criteria] == names
    assert criteria[0].rubric.levels[1] == "not at all"
    assert load_criteria(str(path)) == criteria


def test_several_criteria_are_not_one(tmp_path):
    path = file(tmp_path, f"{GOOD}---\n{OTHER}")
    with pytest.raises(CriterionError, match="holds 2 criteria: mine, other"):
        load_criterion(path)


def test_shared_rubrics_by_alias(tmp_path):
    shared = INDENTED.replace("rubric:", "rubric: &levels")
    path = file(tmp_path, f"{shared}- name: other\n  question: Is it?\n  rubric: *levels\n")
    first, second = load_criteria(path)
    assert first.rubric == second.rubric


def test_what_is_merged_may_be_replaced_but_not_given_twice():
    merged = "a: &base {x: 1, y: 2}\nb: {<<: *base, x: 3}\nc: {<<: [*base, {z: 4}]}\n"
    read = mapping(merged, "serve.yaml")
    assert read["b"] == {"x": 3, "y": 2} and read["c"] == {"x": 1, "y": 2, "z": 4}
    with pytest.raises(SetupError, match="serve.yaml:2: the key 'x' is there twice"):
        mapping("b:\n  <<: {x: 1, x: 3}\n", "serve.yaml")


@pytest.mark.parametrize(
    ("content", "where", "said"),
    [
        (GOOD + "  2: again\n", ":6", "level 2 is there twice"),
        (GOOD + "  '2': again\n", ":6", "level 2 is there twice"),
        (GOOD + "  02: again\n", ":6", "level 2 is there twice"),
        (GOOD.replace("  2: yes, it is\n", ""), ":3", "needs 2 to 11 levels, this one has 1"),
        (GOOD.replace("  1:", "  3:"), ":3", "levels must rise"),
        (GOOD.replace("  1:", "  low:"), ":4", "number the levels, the highest the best: 1 to 2"),
        (GOOD.replace("  2:", "  A:"), ":5", "level 'A' is not a whole number"),
        (GOOD.replace("  1:", "  1.5:"), ":4", "level 1.5 is not a whole number (double them: "),
        (GOOD.replace("  2:", "  yes:"), ":5", "number the levels: 0 for no, 1 for yes"),
        (GOOD.replace("not at all", "1"), ":4", "is described as 1, which is no text"),
        (GOOD.replace("not at all", "2024-01-01"), ":4", "is described as 2024-01-01, which"),
        (GOOD.replace("not at all", ""), ":4", "level 1 has no description"),
        (INDENTED.replace("not at all", "on"), ":4", "is described as true: YAML reads yes, no"),
        ("name: a\nquestion: b\nrubric: [x, y]\n", ":3", "maps scores to descriptions"),
        (
            MINE,
            ":4",
            "level 1 is described as false: YAML reads yes, no, on and off so (put it in "
            'quotes: 1: "no")',
        ),
    ],
)
def test_bad_rubrics(tmp_path, content, where, said):
    path = file(tmp_path, content)
    with pytest.raises(RubricError) as caught:
        load_criterion(path)
    assert str(caught.value).startswith(f"{path}{where}: ")
    assert said in str(caught.value)


HEAD = "name: a\nquestion: b\n"


@pytest.mark.parametrize(
    ("content", "where", "said"),
    [
        (GOOD + "name: again\n", ":6", "the key 'name' is there twice"),
        (GOOD + "rubrics: x\n", ":6", "rubrics is no key of a criterion; did you mean 'rubric'?"),
        (GOOD + "weight: 3\n", ":6", "weight is no key of a criterion"),
        (GOOD.replace("name: mine", "name: 5"), ":1", "name must be text"),
        (GOOD.replace("Is the {output} mine?", "[a, b]"), ":2", "question must be text"),
        (GOOD.replace("name: mine\n", ""), ":1", "a criterion needs a name"),
        (HEAD, ":1", "rubric is missing"),
        ("name: a\nrubric: {1: a, 2: b}\n", ":1", "a criterion needs a question"),
        (HEAD + "rubric:\n  1: bad: very\n", ":4", "not YAML: mapping values are not allowed"),
        ("name: [a\n", ":2", "not YAML: while parsing a flow sequence"),
        ("name: *nowhere\n", ":1", "not YAML: found undefined alias"),
        ("name: !!python/object:os.system x\n", ":1", "not YAML: could not determine"),
        ("? {a: b}\n: c\n", ":1", "not YAML: while constructing a mapping found unhashable key"),
        ("just text\n", ":1", "a criterion is a mapping with name, question and rubric, not str"),
        ("- 1\n- 2\n", ":1", "not int"),
        ("&a [*a]\n", "", "not list"),
        (f"{GOOD}---\n{GOOD}", ":7", "criterion 'mine' is there twice"),
        ("", "", "holds no criterion"),
        ("# nothing\n---\n", "", "holds no criterion"),
        ("[]", "", "holds no criterion"),
        ("[" * 5000, "", "not YAML"),
        ("name: \x07\n", "", "not YAML"),
        (b"name: a\nquestion: caf\xe9\n", ":2", "byte 0xe9 is not UTF-8"),
    ],
)
def test_bad_files(tmp_path, content, where, said):
    path = file(tmp_path, content)
    with pytest.raises(CriterionError) as caught:
        load_criterion(path)
    message = str(caught.value)
    assert message.startswith(f"{path}{where}")
    assert said in message
    assert len(message) < len(str(path)) + 400


def test_each_problem_is_said(tmp_path):
    path = file(tmp_path, "name: 5\nquestion: b\nextra: 1\n")
    with pytest.raises(CriterionError) as caught:
        load_criterion(path)
    assert str(caught.value) == (
        f"{path}:1: name must be text; {path}:1: rubric is missing; "
        f"{path}:3: extra is no key of a criterion"
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (JSON.replace('"2": "yes"', '"1": "yes"'), "level 1 is there twice"),
        (JSON.replace('"question"', '"name"'), "the key 'name' is there twice"),
        (JSON[:-1], "mine.json:1: not JSON: Expecting ',' delimiter"),
        ("", "mine.json:1: not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "holds no criterion"),
        ("7", "a criterion is a mapping with name, question and rubric, not int"),
    ],
)
def test_bad_json(tmp_path, content, said):
    path = file(tmp_path, content, "mine.json")
    with pytest.raises(SetupError) as caught:
        load_criterion(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("faithfulness.yaml", "no such file (one called 'faithfulness' is shipped)"),
        ("no/where.json", "no such file"),
        ("folder.yaml", "cannot be read: Is a directory"),
        ("rubric.toml", "a criterion file ends in .yaml, .yml or .json"),
    ],
)
def test_paths_that_are_no_file(tmp_path, path, said):
    (tmp_path / "folder.yaml").mkdir()
    for given in (Path(tmp_path / path), str(tmp_path / path)):
        with pytest.raises(CriterionError) as caught:
            load_criterion(given)
        assert str(caught.value).startswith(f"{tmp_path / path}: ")
        assert said in str(caught.value)
