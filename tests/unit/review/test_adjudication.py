"""What people disagree on is settled by an adjudicator; the settled answer is the label."""

import json

import pytest
from in_process import glider
from review_runs import answered, begun, graded_run, pair_run

from glider.core.errors import SetupError
from glider.core.judgments import Span
from glider.review.answered import read_answered
from glider.review.answers import read_people
from glider.review.begin import begin
from glider.review.disputes import Disputes
from glider.review.export import export_answers
from glider.review.figures import review_report
from glider.review.imports import import_answers
from glider.review.page import page
from glider.review.records import labelled_rows
from glider.review.settings import ReviewSettings
from glider.review.words import markdown

MARK = (Span(field="output", start=0, end=4),)


@pytest.fixture
def settled(tmp_path):
    """Ten texts; people agree on all but three, two of which dora settles."""
    run = graded_run(tmp_path / "run", 10, per_prompt=1)
    review = begun(run, mode="label", adjudicators=("dora",))
    items = review.plan.items
    for n, drawn in enumerate(items):
        answered(run, "ana", drawn, score=3, note="from ana")
        answered(run, "ben", drawn, score={1: 4, 4: 5, 7: 1}.get(n, 3), spans=MARK)
    for n in (1, 4):
        answered(run, "dora", items[n], stage="adjudicated", score=5, note="settled", spans=MARK)
    return run, review


def test_what_people_disagree_on_is_listed_widest_first_and_what_is_settled_stays(settled):
    run, review = settled
    ids = [drawn.id for drawn in review.plan.items]
    people = read_people(run)
    assert Disputes(review.plan, review.items, people).listed() == [ids[4], ids[7], ids[1]]
    far = review.plan.model_copy(update={"apart": 2})
    assert Disputes(far, review.items, people).listed() == [
        ids[4],
        ids[7],
        ids[1],
    ]  # settled already
    del people["dora"]
    assert Disputes(far, review.items, people).listed() == [ids[4], ids[7]]


def test_the_label_is_the_adjudicated_answer_and_ratings_stay(settled):
    records = {row.data["id"]: row.data for row in labelled_rows(settled[0])}
    one, other, agreed = records["s4"], records["s7"], records["s0"]
    assert (one["label"], one["label_source"], one["annotators"]) == (5, "adjudicated", [3, 5])
    assert one["rationale"] == "settled" and one["meta"]["spans"] == [{"start": 0, "end": 4}]
    assert (other["label"], other["label_source"]) == (2, "people")
    assert (agreed["label"], agreed["rationale"]) == (3, "from ana")


def test_the_report_has_everybody_against_the_settled_answers(settled):
    run, review = settled
    report = review_report(read_answered(run))
    found = {one.who: (one.same.value, one.distance.value) for one in report.settled}
    assert found["ana"] == (0, 2) and found["ben"] == (0.5, 0.5)
    judge = [review.items[review.plan.items[n].id].outcome.score for n in (1, 4)]
    assert found["judge"] == (judge.count(5) / 2, sum(5 - s for s in judge) / 2)
    assert report.people == ("ana", "ben")  # an adjudicator is no more person to agree with
    record = next(item for item in report.items if item.sample_id == "s4")
    assert (record.adjudicated, record.label) == ({"dora": 5}, 5)
    assert "## Against the adjudicated answers" in markdown(report)
    assert "dora, adjudicated" in page(report, review)


@pytest.mark.parametrize("to", ["csv", "label-studio", "w3c", "inspect"])
def test_there_and_back(settled, tmp_path, to):
    run, _ = settled
    file = export_answers(run, to, tmp_path / "answers")
    other = graded_run(tmp_path / "other" / "run", 10, per_prompt=1)
    assert import_answers(other, file) == (22, 0, ())
    assert import_answers(other, file) == (0, 22, ())
    before, after = ([row.data for row in labelled_rows(place)] for place in (run, other))
    assert before == after


def test_other_tools_are_told(settled, tmp_path):
    run, _ = settled
    inspect = [
        json.loads(line)
        for line in export_answers(run, "inspect", tmp_path / "i").read_text().splitlines()
    ]
    assert next(one for one in inspect if one["id"] == "s4")["value"] == 5
    tasks = json.loads(export_answers(run, "label-studio", tmp_path / "l").read_text())
    truths = [a["ground_truth"] for task in tasks for a in task["annotations"]]
    assert truths.count(True) == 2
    assert export_answers(run, "w3c", tmp_path / "w").read_text().count('"adjudicated"') == 4


def test_pairs_are_disputed_wherever_two_prefer_different_outputs(tmp_path):
    run = pair_run(tmp_path / "run", 3)
    review = begun(run, adjudicators=("dora",), apart=3)
    for drawn, other in zip(review.plan.items, ("output 1", "output 2", ""), strict=True):
        answered(run, "ana", drawn, preferred="output 1")
        answered(run, "ben", drawn, preferred=other)
    _, wide, narrow = [drawn.id for drawn in review.plan.items]
    assert Disputes(review.plan, review.items, read_people(run)).listed() == [wide, narrow]
    assert [row.data["label"] for row in labelled_rows(run)] == [0, 0.5, 0.5]


def test_marks_that_differ_are_settled_too_and_are_a_label_of_their_own(tmp_path):
    run = graded_run(tmp_path / "run", 12, per_prompt=1)
    review = begun(run, mode="label", adjudicators=("dora",), marks_below=0.5)
    items = review.plan.items

    def words(start, end):  # "text number N of some length"
        return (Span(field="output", start=start, end=end),)

    for n, drawn in enumerate(items):
        answered(run, "ana", drawn, score=3, spans=words(0, 4) if n else ())
        other = {1: words(5, 11), 2: words(0, 11), 3: ()}.get(n, words(0, 4) if n else ())
        answered(run, "ben", drawn, score=5 if n == 2 else 3, spans=other)
    ids = [drawn.id for drawn in items]

    def listed(plan=review.plan):
        return Disputes(plan, review.items, read_people(run)).listed()

    # Scores first; then marks: none in common, and of one person only. F1 of item 2 is 0.67.
    assert listed() == [ids[2], ids[1], ids[3]]
    assert listed(review.plan.model_copy(update={"marks_below": None})) == [ids[2]]
    answered(run, "dora", items[1], stage="adjudicated", score=3, spans=words(0, 11))
    answered(run, "dora", items[3], stage="adjudicated", score=3)
    records = {row.data["id"]: row.data for row in labelled_rows(run)}
    assert records["s1"]["meta"]["spans"] == [{"start": 0, "end": 11}]
    assert records["s3"]["meta"]["spans"] == []  # settled: nothing decides it
    assert [records[s]["label_source"] for s in ("s1", "s3", "s4")] == [
        "adjudicated", "adjudicated", "people"
    ]  # fmt: skip
    report = review_report(read_answered(run))
    found = {one.who: one.marks for one in report.settled}
    # In item 1 one word of two each, in item 3 none of ana's; ben agrees that it has none.
    assert found["ana"].value == pytest.approx(2 * 1 / (1 + 2 + 1))
    assert "without one of its 2 items" in found["ben"].undefined
    record = next(one for one in report.items if one.sample_id == "s1")
    assert record.adjudicated_marks == {"dora": [["output", 0, 11]]}
    assert begin(run, ReviewSettings(marks_below=0.9)).plan.marks_below == 0.9
    assert begin(run, ReviewSettings()).plan.marks_below == 0.9


def test_who_settles_is_nobody_who_answers(tmp_path):
    run = graded_run(tmp_path / "run", 3)
    with pytest.raises(SetupError, match="same name"):
        begun(run, adjudicators=("ana",))
    with pytest.raises(SetupError, match="no score that people could disagree on"):
        begun(run, mode="synth", adjudicators=("dora",))
    begun(run)
    changed = begin(run, ReviewSettings(adjudicators=("dora",), apart=2))
    assert changed.plan.everybody == ("ana", "ben", "dora") and changed.plan.apart == 2
    assert begin(run, ReviewSettings()).plan == changed.plan
    ended = glider("review", run, "--adjudicators", "ben", cwd=tmp_path)
    assert ended.returncode == 2 and "same name" in ended.stderr
