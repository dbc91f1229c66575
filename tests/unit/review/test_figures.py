"""The figures of a review against other libraries and tables worked by hand."""

import json
import uuid

import krippendorff
import numpy as np
import pytest
from in_process import glider
from review_runs import begun, graded_run, pair_run
from scipy.stats import false_discovery_control, ttest_1samp
from sklearn.metrics import cohen_kappa_score

from glider.core.errors import DataError, RunError
from glider.core.judgments import Span
from glider.core.samples import Sample
from glider.review.alternative import alternative_annotator
from glider.review.answered import read_answered
from glider.review.answers import Answer, AnswerBook
from glider.review.figures import review_report
from glider.review.plan import is_held_out, questions_of
from glider.review.spans import boundary_counts, word_counts
from glider.stats.clustered import two_way_mean
from glider.stats.estimates import Undefined
from glider.stats.multiplicity import benjamini_yekutieli


def answer(review, person, drawn, stage="blind", *, second=False, **said):
    return Answer(
        id=uuid.uuid4().hex, person=person, visit=drawn.id + ("-2" if second else ""),
        item=drawn.id, content=said.pop("content", drawn.content), stage=stage,
        at="2026-11-20T09:30:00", seconds=said.pop("seconds", 9.0), **said,
    )  # fmt: skip


@pytest.fixture
def reviewed(tmp_path):
    """30 items, three people who score at random around the same value; verdicts of all kinds."""
    review = begun(graded_run(tmp_path / "run", 30), "ana", "ben", "cem", holdout="30%")
    rng = np.random.default_rng(3)
    truth = rng.integers(1, 6, 30)
    scores = np.clip(truth[:, None] + rng.integers(-1, 2, (30, 3)), 1, 5)
    words = rng.choice(["yes", "partly", "no", "cannot tell"], (30, 3), p=[0.5, 0.2, 0.2, 0.1])
    with AnswerBook(review.run, review.plan.people) as book:
        for n, drawn in enumerate(review.plan.items):
            for p, name in enumerate(review.plan.people):
                book.add(answer(review, name, drawn, score=int(scores[n, p]),
                                spans=(Span(field="output", start=0, end=4),)))  # fmt: skip
                if not is_held_out(review.plan, name, drawn.id):
                    word = str(words[n, p])
                    book.add(answer(review, name, drawn, "reveal", reason_right=word,
                                    marks_right="yes", score_right=word, score=3))  # fmt: skip
    judge = np.array([review.items[d.id].outcome.score for d in review.plan.items])
    shown = np.array([[not is_held_out(review.plan, p, d.id) for p in review.plan.people]
                      for d in review.plan.items])  # fmt: skip
    return review, scores, words, judge, shown


def test_scores_agree_with_other_libraries(reviewed):
    review, scores, _, judge, _ = reviewed
    report = review_report(read_answered(review.run))
    alpha = krippendorff.alpha(scores.T.astype(float), level_of_measurement="interval")
    assert report.alpha.value == pytest.approx(alpha)
    assert report.alpha.low < alpha < report.alpha.high
    found = {one.metric: one for one in report.beside}
    pairs = [(0, 1), (0, 2), (1, 2)]

    def kappa(x, y):
        return cohen_kappa_score(x, y, weights="quadratic", labels=[1, 2, 3, 4, 5])

    for metric, of in (
        ("kappa, quadratic", kappa),
        ("Pearson's r", lambda x, y: np.corrcoef(x, y)[0, 1]),
        ("mean absolute error", lambda x, y: np.abs(x - y).mean()),
        ("same score", lambda x, y: (x == y).mean()),
    ):
        of_judge = np.mean([of(judge, scores[:, p]) for p in range(3)])
        of_people = np.mean([of(scores[:, p], scores[:, q]) for p, q in pairs])
        assert found[metric].judge.value == pytest.approx(of_judge)
        assert found[metric].people.value == pytest.approx(of_people)
        assert found[metric].difference.value == pytest.approx(of_judge - of_people)
        assert found[metric].difference.low < of_judge - of_people < found[metric].difference.high


def test_verdicts_are_counted_and_cannot_tell_is_left_out(reviewed):
    review, _, words, _, shown = reviewed
    reason, marks, score = review_report(read_answered(review.run)).verdicts
    said = words[shown]
    told = said[said != "cannot tell"]
    assert reason.about == "reason" and sum(reason.counts.values()) == shown.sum()
    assert reason.yes.value == pytest.approx((told == "yes").mean())
    assert reason.at_least_partly.value == pytest.approx((told != "no").mean())
    assert reason.at_least_partly.n == len(told) and reason.at_least_partly.people == 3
    wide = reason.any_people.high - reason.any_people.low
    assert wide > reason.at_least_partly.high - reason.at_least_partly.low
    table = np.where(
        shown, np.select([words == w for w in ("yes", "partly", "no")], [2, 1, 0], -1), -1
    )
    table = np.where(table < 0, np.nan, table.astype(float))
    table[np.isfinite(table).sum(axis=1) < 2] = np.nan
    assert reason.alpha.value == pytest.approx(
        krippendorff.alpha(table.T, level_of_measurement="ordinal")
    )
    # All said yes: a share with an interval, and an alpha that is undefined, with its reason.
    assert marks.yes.value == 1 and marks.yes.low < 1
    assert marks.alpha.value is None and "every rating is 2" in marks.alpha.undefined
    assert score.counts == reason.counts


def test_the_alternative_annotator_test_is_that_of_the_paper(tmp_path):
    """With every item its own cluster: scipy's t test and Benjamini-Yekutieli, worked apart."""
    review = begun(graded_run(tmp_path / "run", 40, per_prompt=1), "a", "b", "c", "d")
    judge = np.array([review.items[d.id].outcome.score for d in review.plan.items])
    rng = np.random.default_rng(1)
    scores = np.clip(judge[:, None] + rng.choice([-2, -1, 0, 1, 2], (40, 4)), 1, 5)
    with AnswerBook(review.run, review.plan.people) as book:
        for n, drawn in enumerate(review.plan.items):
            for p, name in enumerate(review.plan.people):
                book.add(answer(review, name, drawn, score=int(scores[n, p])))
    found = review_report(read_answered(review.run), epsilon=0.1).alternative
    expected = []
    for p in range(4):
        rest = np.delete(scores, p, axis=1)
        of_judge = -np.sqrt(((judge[:, None] - rest) ** 2).mean(axis=1))
        of_person = -np.sqrt(((scores[:, [p]] - rest) ** 2).mean(axis=1))
        d = (of_person >= of_judge).astype(float) - (of_judge >= of_person)
        expected.append(ttest_1samp(d, 0.1, alternative="less").pvalue)
    assert [one.p for one in found.people] == pytest.approx(expected)
    adjusted = false_discovery_control(expected, method="by")
    assert [one.p_adjusted for one in found.people] == pytest.approx(list(adjusted))
    assert found.winning_rate == np.mean(adjusted < 0.05) > 0.5


def test_benjamini_yekutieli_is_scipys():
    p = np.random.default_rng(0).uniform(0, 0.2, 9)
    assert benjamini_yekutieli(p) == pytest.approx(false_discovery_control(p, method="by"))


def test_the_pull_of_the_reveal(reviewed):
    review, scores, _, judge, shown = reviewed
    found = {one.name: one for one in review_report(read_answered(review.run)).pull}
    before = np.abs(scores - judge[:, None])
    after = np.abs(3 - judge)[:, None].repeat(3, axis=1)
    assert found["changed the score when the judge's was shown"].value == pytest.approx(
        (scores != 3)[shown].mean()
    )
    assert found["moved towards the judge's score, in steps"].value == pytest.approx(
        (before - after)[shown].mean()
    )
    held = found["distance to the judge where it was never shown"]
    assert held.value == pytest.approx(before[~shown].mean()) and held.n == (~shown).sum()
    difference = found["distance, shown less never shown"]
    assert difference.value == pytest.approx(after[shown].mean() - before[~shown].mean())


def test_people_who_answer_by_pattern_are_shown_and_counted_all_the_same(tmp_path):
    review = begun(graded_run(tmp_path / "run", 12), "hasty", "calm")
    with AnswerBook(review.run, review.plan.people) as book:
        for n, drawn in enumerate(review.plan.items):
            book.add(answer(review, "hasty", drawn, score=3, seconds=0.5))
            book.add(answer(review, "hasty", drawn, second=True, score=1 + n % 2, seconds=0.5))
            book.add(answer(review, "calm", drawn, score=1 + n % 5))
            book.add(answer(review, "calm", drawn, second=True, score=1 + n % 5))
        book.add(answer(review, "calm", review.plan.items[0], "flag"))
    report = review_report(read_answered(review.run))
    calm, hasty = report.each_person
    said = "; ".join(hasty.notes)
    assert "same score to all 12" in said and "within 0.5 s" in said and "by chance" in said
    assert (calm.notes, calm.same_again, calm.flagged) == ((), 1.0, 1)
    assert hasty.answered == 12 and report.answers == 24
    assert "three people" in report.alternative.undefined


def test_answers_to_another_text_are_not_counted(tmp_path):
    review = begun(graded_run(tmp_path / "run", 6), "ana")
    with AnswerBook(review.run, ["ana"]) as book:
        for n, drawn in enumerate(review.plan.items):
            book.add(
                answer(review, "ana", drawn, score=2, content="old" if n < 2 else drawn.content)
            )
    report = review_report(read_answered(review.run))
    assert report.answers == 4 and "2 answers are to another text" in report.notes[0]
    # One person: the judge against that person, and no figure of people among one another.
    same = report.beside[0]
    assert same.people.value is None and "no two" in same.people.undefined
    assert report.alpha.value is None and "two ratings" in report.alpha.undefined
    assert report.verdicts == () and report.mean_agreement is None


def test_pairs_are_scored_by_the_output_not_by_its_place(tmp_path):
    review = begun(pair_run(tmp_path / "run", 8), "ana", "ben")
    with AnswerBook(review.run, ["ana", "ben"]) as book:
        for n, drawn in enumerate(review.plan.items):
            book.add(answer(review, "ana", drawn, preferred="output 1"))
            book.add(answer(review, "ben", drawn, preferred=["output 2", "output 1", ""][n % 3]))
    report = review_report(read_answered(review.run))
    assert [one.scores["ben"] for one in report.items] == [1, 0, 0.5, 1, 0, 0.5, 1, 0]
    same = report.beside[0]
    assert same.judge.value == pytest.approx((1 + 3 / 8) / 2)
    assert same.people.value == pytest.approx(3 / 8)


@pytest.mark.parametrize(
    ("a", "b", "words", "edges"),
    [
        ([(0, 3)], [(0, 3)], (1, 1, 1), (2, 2, 2)),
        ([(0, 3)], [(0, 4)], (1, 1, 1), (2, 2, 2)),  # a space at the edge
        ([(0, 7)], [(4, 13)], (1, 2, 2), (2, 2, 2)),  # one word apart
        ([(0, 3)], [(14, 18)], (0, 1, 1), (0, 2, 2)),
        ([(0, 3), (2, 7)], [(0, 7)], (2, 2, 2), (2, 2, 2)),  # marks that overlap are one
        ([], [(0, 3)], (0, 0, 1), (0, 0, 2)),
        ([], [], (0, 0, 0), (0, 0, 0)),
    ],
)
def test_marks_are_compared_in_words(a, b, words, edges):
    sample = Sample.of("one two three four", id="s")
    spans = [[Span(field="output", start=s, end=e) for s, e in places] for places in (a, b)]
    assert word_counts(sample, *spans) == words
    assert boundary_counts(sample, *spans) == edges


def test_two_way_intervals_by_hand():
    values, items, people = [1, 0, 1, 1, 0, 0], [0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1]
    found = two_way_mean(values, items, people, scale=(0, 1))
    # Residuals 1/2: by item 0, 1, -1 over 6; by person 1/2, -1/2 over 6; each its own cell.
    v_item, v_person = 3 / 2 * 2 / 36, 2 * 0.5 / 36
    v_cell = 6 / 5 * 6 * 0.25 / 36
    variance = max(v_item + v_person - v_cell, v_item, v_person)
    half = 12.706 * variance**0.5
    assert found.value == 0.5
    assert (found.low, found.high) == (max(0, 0.5 - half), min(1, 0.5 + half))
    assert isinstance(two_way_mean([1, 1], [0, 1], [0, 1]), Undefined)
    assert isinstance(two_way_mean([1, 0], [0, 1], [0, 0]), Undefined)


def test_weights_of_a_stratified_draw_are_undone(tmp_path):
    run = graded_run(tmp_path / "run", 80)
    review = begun(run, "ana", by="score", sample=20)
    with AnswerBook(run, ["ana"]) as book:
        for drawn in review.plan.items:
            right = "yes" if drawn.stratum in "12" else "no"
            book.add(answer(review, "ana", drawn, score=3))
            book.add(answer(review, "ana", drawn, "reveal", reason_right=right,
                            marks_right=right, score_right=right))  # fmt: skip
    report = review_report(read_answered(run))
    every = [
        json.loads(line)["outcome"]["score"]
        for line in (run / "journal.jsonl").read_text().splitlines()
    ]
    assert report.verdicts[0].yes.value == pytest.approx(np.mean([s in (1, 2) for s in every]))
    assert any("stratum" in note for note in report.notes)


def test_the_command_writes_what_anybody_can_recompute(reviewed):
    review, scores, *_ = reviewed
    ended = glider("review", "report", review.run, cwd=review.run)
    assert ended.returncode == 0, ended.stderr
    assert "## The judge beside one more person" in ended.stdout
    data = json.loads((review.run / "review/report.json").read_text())
    rows = {item["id"]: item for item in data["items"]}
    again = [[rows[d.id]["scores"][p] for p in review.plan.people] for d in review.plan.items]
    assert np.array_equal(np.array(again), scores)
    for name in ("report.md", "report.html"):
        assert "Alternative-annotator" in (review.run / "review" / name).read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("report", "--out", "review/answers"),
        ("report", "--out", "taken"),
        ("export", "--out", "review/answers/ana.jsonl"),
        ("export", "--out", "review/manifest.json"),
        ("export", "--out", "samples.jsonl"),
    ],
)
def test_results_take_no_place_of_what_they_are_made_of(reviewed, words):
    run = reviewed[0].run
    (run / "taken").write_text("mine")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    ended = glider("review", words[0], run, *words[1:], cwd=run)
    assert ended.returncode == 2 and "--out" in ended.stderr and not ended.stdout
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_made_data_has_shares_for_each_question_and_no_agreement_on_scores(tmp_path):
    review = begun(graded_run(tmp_path / "run", 10), "ana", "ben", mode="synth")
    keys = [one.key for one in questions_of(review.plan.questions, of_two=False)]
    with AnswerBook(review.run, review.plan.people) as book:
        for n, drawn in enumerate(review.plan.items):
            for person in review.plan.people:
                said = {key: "no" if n < k else "yes" for k, key in enumerate(keys)}
                book.add(answer(review, person, drawn, questions=said))
    report = review_report(read_answered(review.run))
    assert [one.yes.value for one in report.verdicts] == pytest.approx(
        [1 - k / 10 for k in range(9)]
    )
    assert report.beside == () and report.pull == () and report.mean_agreement is None
    ended = glider("review", "report", review.run, cwd=tmp_path)
    assert ended.returncode == 0 and "What people say of the data" in ended.stdout
    assert "alpha of own scores" not in ended.stdout


def test_what_could_not_be_judged_is_said(tmp_path):
    run = graded_run(tmp_path / "run", 4)
    lines = (run / "journal.jsonl").read_text().splitlines()
    failed = json.loads(lines[0])
    told = failed["outcome"]
    failed["outcome"] = {
        **{key: told[key] for key in ("version", "task_id", "sample_id", "criterion", "judge")},
        "kind": "failure", "stage": "read", "code": "truncated", "message": "cut",
    }  # fmt: skip
    (run / "journal.jsonl").write_text("\n".join([json.dumps(failed), *lines[1:]]) + "\n")
    review = begun(run, "ana")
    assert len(review.plan.items) == 3
    with AnswerBook(run, ["ana"]) as book:
        book.add(answer(review, "ana", review.plan.items[0], score=3))
    notes = review_report(read_answered(run)).notes
    assert any("1 of the run's 4 outcomes" in note for note in notes)


def test_what_is_missing_is_said(tmp_path):
    run = graded_run(tmp_path / "run", 3)
    with pytest.raises(RunError, match="no review"):
        review_report(read_answered(run))
    begun(run)
    with pytest.raises(DataError, match="nobody has answered"):
        review_report(read_answered(run))


@pytest.mark.slow
def test_two_way_intervals_hold_the_truth():
    """Any items and any people: 95 in 100 on simulated panels, never much below."""
    rng = np.random.default_rng(5)
    for n_people in (3, 5, 10):
        held = 0
        for _ in range(600):
            items, people = rng.normal(0, 0.5, 40), rng.normal(0, 0.5, n_people)
            values = items[:, None] + people + rng.normal(0, 1, (40, n_people))
            rows, columns = np.indices(values.shape)
            found = two_way_mean(values.ravel(), rows.ravel(), columns.ravel())
            held += found.low <= 0 <= found.high
        assert held / 600 > 0.92, n_people


@pytest.mark.slow
def test_the_alternative_annotator_test_keeps_its_level():
    """A judge that is worse than a person by just epsilon wins against that person 5 in 100."""
    rng = np.random.default_rng(11)

    def panel(n):
        truth = rng.integers(1, 6, n)[:, None]
        people = np.clip(truth + rng.choice([-1, 0, 0, 1], (n, 3)), 1, 5)
        judge = np.clip(truth + rng.choice([-2, -1, 0, 1, 2], (n, 1)), 1, 5)
        return people.astype(float), judge[:, 0].astype(float)

    def tested(n, epsilon):
        people, judge = panel(n)
        return alternative_annotator(["a", "b", "c"], people, judge, np.arange(n), epsilon=epsilon)

    many = tested(200_000, 0.1).people[0]
    worse = many.person_at_least_as_near - many.judge_at_least_as_near
    wins = [tested(60, worse).people[0].p < 0.05 for _ in range(2000)]
    assert 0.03 < np.mean(wins) < 0.075
    assert np.mean([tested(60, worse + 0.25).people[0].p < 0.05 for _ in range(300)]) > 0.5
