"""What could make a judge better without training? Each lever against the plain judge, in pairs.

    python benchmarks/levers.py mean --bench DIR [DIR ...] --systems nano small
    python benchmarks/levers.py compare --bench DIR --systems nano nano-sentences --name sentences
    python benchmarks/levers.py questions --bench DIR [DIR ...] --system nano --model fast/nano
    python benchmarks/levers.py listings --bench DIR [DIR ...] --system nano --model fast/nano
    python benchmarks/levers.py readout --bench DIR [DIR ...] --system nano --model fast/nano \
        --examples FOLDER --states FOLDER

DIR is a folder of `glider bench`; the items, the labels and the plain judge's answers come from its
runs. `mean` and `compare` need no model.

- *mean*: the answers of two judges to the same items, put together as `--jury` does it.
- *compare*: two judges whose runs are there, one of them with another strategy, say.
- *questions*: two or three yes-or-no questions for each criterion, in the judge's own format,
  and the mean of P(yes); alone, and averaged with the score. They stand in `levers.yaml`.
- *listings*: the same question with the levels listed from the highest down, alone, and averaged
  with the score. Single texts; pairs keep their score.
- *readout*: a ridge regression from the hidden state at the deciding position to the label,
  fitted to training examples; depth and penalty by cross-validation among those alone. One for
  single texts, one for pairs. Alone, and averaged with the distribution over the labels.

Differences are paired on the items, and their intervals are those of `glider bench`.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import HERE, facts, save, table
from numpy.typing import NDArray

from glider.backends.fast import FastBackend, PrefixReader
from glider.bench.benchmark import FigureSettings
from glider.bench.collect import BenchRun, bench_runs
from glider.bench.results import Figure, Results
from glider.bench.run import Outcome, items_from_run
from glider.bench.scored import Scored, scored
from glider.bench.table import ALL, measure
from glider.core.criteria import Criterion, Rubric, listed_top_down
from glider.core.generation import Decoding, GenerationRequest, Labels, Message
from glider.core.judgments import Failure, Judgment
from glider.core.tasks import JudgeTask
from glider.corpus.examples import Example, read_examples
from glider.gold.items import Item
from glider.judging.judge import Judge
from glider.judging.pairs import PairTask
from glider.judging.strategies.parts import ScoredPart, together
from glider.store.run import outcomes

Floats = NDArray[np.float64]
_AT_ONCE = 256
_EXAMPLE = "example "


# ---- stored runs


@dataclass(frozen=True)
class Stored:
    """One system's answers to one set."""

    run: BenchRun
    items: list[Item]
    outcomes: Mapping[int, Outcome]

    @property
    def name(self) -> str:
        """The set's name."""
        return self.run.labelled.name

    def scored(self, system: str, answers: Mapping[int, Outcome] | None = None) -> Scored:
        """The expected scores, of these answers or of others to the same items."""
        return scored(
            self.name, system, self.items, self.outcomes if answers is None else answers, "expected"
        )


def stored(folders: Sequence[Path], system: str) -> dict[str, Stored]:
    """The runs of a system in these folders, by set."""
    found = {}
    for folder in folders:
        for run in bench_runs(folder):
            if run.system == system and run.labelled.name not in found:
                items = items_from_run(run.folder)
                found[run.labelled.name] = Stored(run, items, dict(outcomes(run.folder)))
    if not found:
        sys.exit(f"no runs of {system} there")
    return found


def work_of(item: Item) -> JudgeTask | PairTask:
    """An item as it was put to the judge."""
    if item.is_pair:
        first, second = (field.name for field in item.sample.judged)
        return PairTask(item.sample, item.criterion, first, second)
    return JudgeTask(item.sample, item.criterion)


def measured(own: Mapping[str, Stored], systems: Sequence[Scored], seed: int, n: int) -> Results:
    """Figures and paired differences of these systems on the stored sets."""
    exposures = {name: one.run.exposure for name, one in own.items() if one.run.exposure}
    return measure(
        systems,
        {name: one.run.labelled for name, one in own.items()},
        exposures=exposures,
        settings=FigureSettings(seed=seed, n_resamples=n, n_permutations=n),
    )


# ---- levers


def mean(args: argparse.Namespace) -> tuple[Results, dict[str, Any]]:
    """Two judges, and both together."""
    a, b = (stored(args.bench, name) for name in args.systems)
    together_name = "mean of both"
    systems = []
    own = {name: one for name, one in a.items() if name in b}
    for name, one in own.items():
        other = b[name]
        answers = {row: outcome for row, outcome in zip_rows(one, other)}
        systems += [
            one.scored(args.systems[0]),
            other.scored(args.systems[1]),
            one.scored(together_name, answers),
        ]
    return measured(own, systems, args.seed, args.resamples), {}


def zip_rows(one: Stored, other: Stored) -> list[tuple[int, Outcome]]:
    """The jury's verdict on each item that both have judged; another draw of items is an error."""
    ids = [item.sample.content_id for item in one.items]
    if ids != [item.sample.content_id for item in other.items]:
        sys.exit(f"{one.name}: the two systems saw other items")
    parts = [ScoredPart("a", 0.5), ScoredPart("b", 0.5)]
    found: list[tuple[int, Outcome]] = []
    for row, item in enumerate(one.items):
        answered = [s.outcomes[row] for s in (one, other) if not failed(s.outcomes.get(row))]
        if len(answered) == 2:
            found.append((row, together(work_of(item), parts, answered, mixed=True)))
        elif answered:  # as in a jury: a member that failed is left out
            found.append((row, answered[0]))
    return found


def failed(outcome: Outcome | None) -> bool:
    """Whether there is nothing to average."""
    return outcome is None or isinstance(outcome, Failure)


def compare(args: argparse.Namespace) -> tuple[Results, dict[str, Any]]:
    """Two judges whose runs are there."""
    a, b = (stored(args.bench, name) for name in args.systems)
    own = {name: one for name, one in a.items() if name in b}
    systems = []
    for name, one in own.items():
        systems += [one.scored(args.systems[0]), b[name].scored(args.systems[1])]
    return measured(own, systems, args.seed, args.resamples), {}


def questions(args: argparse.Namespace) -> tuple[Results, dict[str, Any]]:
    """A few yes-or-no questions for each criterion, and the mean of P(yes)."""
    asked: dict[str, dict[str, list[str]]] = yaml.safe_load(args.questions.read_text("utf-8"))
    own = {n: one for n, one in stored(args.bench, args.system).items() if n in asked}
    systems: list[Scored] = []
    n_asked = 0
    with Judge(args.model) as judge:
        for name, one in own.items():
            works: list[tuple[int, JudgeTask]] = []
            for row, item in enumerate(one.items[: args.limit]):
                for text in asked[name].get(item.criterion.name, asked[name].get("", [])):
                    works.append((row, JudgeTask(item.sample, yes_or_no(text))))
            if not works:
                sys.exit(f"{name}: no questions for any of its criteria")
            n_asked += len(works)
            yes: dict[int, list[float]] = defaultdict(list)
            for row, outcome in judge.stream(works):
                if isinstance(outcome, Judgment):
                    yes[row].append(outcome.expected_or_score)
            kept = Stored(one.run, one.items[: args.limit], one.outcomes)
            means = [
                float(np.mean(yes[row])) if yes[row] else None for row in range(len(kept.items))
            ]
            plain = kept.scored(args.system)
            systems += [plain, *beside(plain, kept, means, "questions")]
            print(f"{name}: {len(works)} answers", flush=True)
    return measured(own, systems, args.seed, args.resamples), {"questions": asked, "asked": n_asked}


def listings(args: argparse.Namespace) -> tuple[Results, dict[str, Any]]:
    """The levels listed from the highest down too, as pairs are asked in both orders."""
    own = {n: one for n, one in stored(args.bench, args.system).items() if not one.items[0].is_pair}
    systems: list[Scored] = []
    with Judge(args.model) as judge:
        for name, one in own.items():
            turned: list[float | None] = [None] * len(one.items)
            works = [
                (row, JudgeTask(item.sample, listed_top_down(item.criterion)))
                for row, item in enumerate(one.items)
            ]
            for row, outcome in judge.stream(works):
                if isinstance(outcome, Judgment):
                    rubric = one.items[row].criterion.rubric
                    turned[row] = rubric.normalize(outcome.expected_or_score)
            plain = one.scored(args.system)
            systems += [plain, *beside(plain, one, turned, "top down")]
            print(f"{name}: {len(works)} answers", flush=True)
    return measured(own, systems, args.seed, args.resamples), {}


def yes_or_no(question: str) -> Criterion:
    """A question as a criterion with two levels."""
    return Criterion(name="question", question=question, rubric=Rubric(levels={0: "no", 1: "yes"}))


def beside(
    plain: Scored, own: Stored, normalized: Sequence[float | None], name: str
) -> list[Scored]:
    """A second score from 0 to 1 for each single text, alone and averaged with the plain one."""
    low, high = np.array(plain.scales).T[:, plain.part]
    width = np.where(high > low, high - low, 1.0)
    known = np.array([value is not None for value in normalized])
    second = np.array([value or 0.0 for value in normalized])
    first = (plain.score - low) / width
    both = np.where(known, (first + second) / 2, first)
    alone = [low[n] + second[n] * width[n] if known[n] else None for n in range(len(known))]
    averaged = [
        float(low[n] + both[n] * width[n]) if plain.judged[n] else None for n in range(len(known))
    ]
    return [
        Scored.of(own.name, name, own.items, alone),
        Scored.of(own.name, f"{name} and score", own.items, averaged),
    ]


# ---- a read-out of hidden states


class WithStates:
    """A causal model that also remembers hidden states at the positions whose logits are kept."""

    def __init__(self, model: Any, depths: Sequence[int]) -> None:
        self._model, self._depths = model, depths
        self.device, self.dtype, self.forward = model.device, model.dtype, model.forward
        self.states: Any = None

    def __call__(self, **options: Any) -> Any:
        """As the model's own; afterwards `states` has shape (positions, depths, width)."""
        import torch

        found = self._model(**options, output_hidden_states=True)
        ends = options["logits_to_keep"]
        layers = [found.hidden_states[depth][0, ends] for depth in self._depths]
        self.states = torch.stack(layers, dim=1).float().cpu().numpy()
        return found


class StatesReader(PrefixReader):
    """Reads logits, and keeps the hidden states of each request beside them."""

    def __init__(self, model: WithStates) -> None:
        super().__init__(model)
        self.names: dict[tuple[int, ...], list[str]] = {}
        self.states: dict[str, NDArray[np.float32]] = {}

    def _forward(self, load: list[tuple[tuple[int, ...], int]]) -> Any:
        found = super()._forward(load)
        # Before the answer is given, so that whoever waits for it finds them.
        for (sequence, _), state in zip(load, self._model.states, strict=True):
            self.states |= dict.fromkeys(self.names.get(sequence, ()), state)
        return found


class StatesBackend(FastBackend):
    """The fast backend; `states` has the hidden states of each request by its id."""

    def __init__(self, model: str) -> None:
        super().__init__(model)
        n = self.model.config.get_text_config().num_hidden_layers
        self.depths = tuple(sorted({round(n * share) for share in (0.4, 0.6, 0.75, 0.9, 1.0)}))
        self._reader = self._states_reader = StatesReader(WithStates(self.model, self.depths))
        self.states = self._states_reader.states

    def answer(self, jobs: Any) -> None:
        """As the fast backend's own."""
        names: dict[tuple[int, ...], list[str]] = {}
        for job in jobs:
            names.setdefault(tuple(job.ids), []).append(job.request.id)
        self._states_reader.names = names
        super().answer(jobs)


def readout(args: argparse.Namespace) -> tuple[Results, dict[str, Any]]:
    """Ridge read-outs fitted to training examples, judged on the stored items."""
    own = stored(args.bench, args.system)
    args.states.mkdir(parents=True, exist_ok=True)
    examples = drawn(args.examples, args.n, args.seed)
    learnt, asked, depths = states_of(args, examples, own)
    fits: dict[bool, Fit] = {}
    told: dict[str, Any] = {"depths": list(depths)}
    for pairs in (False, True):
        rows = [n for n, example in enumerate(examples) if is_pair(example) == pairs]
        of_set = np.array([examples[n].set for n in rows])
        folds = folds_of([examples[n].cluster for n in rows], args.seed)
        target = np.array([label(examples[n]) for n in rows])
        fits[pairs] = fit = Fit.best(learnt[rows], target, of_set, folds)
        told["pairs" if pairs else "single"] = {
            "n": len(rows), "depth": depths[fit.depth], "penalty": fit.penalty,
            "cross_validated_r": round(fit.r, 3), "by_depth": fit.table(depths),
        }  # fmt: skip
        print("pairs" if pairs else "single", told["pairs" if pairs else "single"], flush=True)
    systems: list[Scored] = []
    for name, one in own.items():
        plain = one.scored(args.system)
        systems.append(plain)
        works = [work_of(item) for item in one.items]
        if isinstance(works[0], PairTask):
            orders = np.full((len(works), 2), np.nan)
            for n, work in enumerate(works):
                for place, task in enumerate(work.tasks):
                    if task.id in asked:
                        second = float(fits[True](asked[task.id]))
                        orders[n, place] = 1 - second if place else second
            assert plain.orders is not None
            both = (orders + plain.orders) / 2
            for system, found in (("read-out", orders), ("read-out and score", both)):
                means = [None if np.isnan(row).any() else float(row.mean()) for row in found]
                systems.append(Scored.of(name, system, one.items, means, orders=found))
            continue
        alone = [float(fits[False](asked[work.id])) if work.id in asked else None for work in works]
        systems += beside(plain, one, alone, "read-out")
    return measured(own, systems, args.seed, args.resamples), told


def drawn(folder: Path, n: int, seed: int) -> list[Example]:
    """At most `n` training examples that ask for a score right after the opening."""
    every = [e for e in read_examples(folder / "train.jsonl.gz") if e.opening.endswith(e.after)]
    every = [e for e in every if e.labels and e.after]
    return random.Random(seed).sample(every, min(n, len(every)))


def is_pair(example: Example) -> bool:
    """Whether the example shows two outputs."""
    return "<output 1>" in example.messages[-1].content


def label(example: Example) -> float:
    """The label's place on its scale, 0 to 1; of a distribution its mean."""
    assert example.labels is not None
    place = np.linspace(0.0, 1.0, len(example.labels))
    if example.soft is not None:
        return float(np.dot(place, example.soft))
    return float(place[example.labels.index(example.completion[:2].strip() or "0")])


def folds_of(clusters: Sequence[str], seed: int, n: int = 5) -> NDArray[np.int64]:
    """Folds that keep what shares a prompt together."""
    names = sorted(set(clusters))
    random.Random(seed).shuffle(names)
    fold = {name: place % n for place, name in enumerate(names)}
    return np.array([fold[name] for name in clusters])


def states_of(
    args: argparse.Namespace, examples: Sequence[Example], own: Mapping[str, Stored]
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]], tuple[int, ...]]:
    """States of the examples, and of the items' tasks by task id.

    Every few hundred are written to a file, so that a killed run goes on.
    """
    parts: dict[str, Callable[[StatesBackend], None]] = {}
    for at in range(0, len(examples), _AT_ONCE):
        few = examples[at : at + _AT_ONCE]
        parts[f"examples-{at}"] = lambda backend, few=few: read_examples_with(backend, few)
    for name, one in own.items():
        parts[name] = lambda backend, one=one: read_items_with(backend, one)
    missing = [name for name in parts if not (args.states / f"{name}.npz").exists()]
    if missing:
        with StatesBackend(args.model.removeprefix("fast/")) as backend:
            for name in missing:
                backend.states.clear()
                parts[name](backend)
                # A task's request is called by the task and two numbers that nothing depends on.
                ids = [
                    key if key.startswith(_EXAMPLE) else key.rsplit("-", 2)[0]
                    for key in backend.states
                ]
                states = np.stack(list(backend.states.values())).astype(np.float16)
                np.savez(args.states / f"{name}.npz", ids=ids, states=states, depths=backend.depths)
                print(f"{name}: {len(ids)} read", flush=True)
    by_id: dict[str, NDArray[np.float32]] = {}
    depths: tuple[int, ...] = ()
    for name in parts:
        with np.load(args.states / f"{name}.npz") as kept:
            by_id |= zip(kept["ids"].tolist(), kept["states"].astype(np.float32), strict=True)
            depths = tuple(kept["depths"].tolist())
    learnt = np.stack([by_id[_EXAMPLE + example.id] for example in examples])
    return learnt, by_id, depths


def read_examples_with(backend: StatesBackend, examples: Sequence[Example]) -> None:
    """Read the prompts of training examples."""
    backend.generate([request_of(example) for example in examples])


def read_items_with(backend: StatesBackend, one: Stored) -> None:
    """Judge the items of a set as they were judged."""
    judge = Judge(backend, truncate=True)
    for _ in judge.stream((row, work_of(item)) for row, item in enumerate(one.items)):
        pass


def request_of(example: Example) -> GenerationRequest:
    """The example's prompt, asked for its labels."""
    assert example.labels is not None
    return GenerationRequest(
        id=_EXAMPLE + example.id,
        messages=tuple(Message(turn.role, turn.content) for turn in example.messages),
        opening=example.opening,
        labels=Labels(texts=example.labels, after=example.after),
        decoding=Decoding(max_tokens=8),
    )


@dataclass(frozen=True)
class Fit:
    """A ridge regression from one depth's state to a place on the scale."""

    depth: int
    penalty: float
    r: float
    """Mean over sets of Pearson's r in cross-validation."""
    tried: Mapping[tuple[int, float], float]
    centre: Floats
    spread: Floats
    weights: Floats
    intercept: float

    PENALTIES = (30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0)

    @classmethod
    def best(
        cls, states: NDArray[np.float32], target: Floats, sets: NDArray[Any], folds: NDArray[Any]
    ) -> "Fit":
        """The depth and penalty with the highest r in cross-validation, fitted to everything."""
        tried: dict[tuple[int, float], float] = {}
        for depth in range(states.shape[1]):
            x = states[:, depth].astype(np.float64)
            predicted = {penalty: np.zeros(len(target)) for penalty in cls.PENALTIES}
            for fold in np.unique(folds):
                inside = folds != fold
                for penalty, ridge in _ridges(x[inside], target[inside], cls.PENALTIES).items():
                    predicted[penalty][~inside] = _predict(ridge, x[~inside])
            for penalty, found in predicted.items():
                tried[depth, penalty] = _mean_r(found, target, sets)
        depth, penalty = max(tried, key=lambda key: tried[key])
        x = states[:, depth].astype(np.float64)
        ridge = _ridges(x, target, (penalty,))[penalty]
        return cls(depth, penalty, tried[depth, penalty], tried, *ridge)

    def __call__(self, states: NDArray[np.float32]) -> float:
        """The place on the scale, 0 to 1, of one item's states, shape (depths, width)."""
        x = states[self.depth].astype(np.float64)[None]
        ridge = (self.centre, self.spread, self.weights, self.intercept)
        return float(np.clip(_predict(ridge, x)[0], 0.0, 1.0))

    def table(self, depths: Sequence[int]) -> dict[int, float]:
        """Each depth's best r in cross-validation."""
        return {
            depth: round(max(r for (d, _), r in self.tried.items() if d == place), 3)
            for place, depth in enumerate(depths)
        }


_Ridge = tuple[Floats, Floats, Floats, float]


def _ridges(x: Floats, y: Floats, penalties: Sequence[float]) -> dict[float, _Ridge]:
    centre, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    u, s, vt = np.linalg.svd((x - centre) / spread, full_matrices=False)
    along = u.T @ (y - y.mean())
    return {
        p: (centre, spread, vt.T @ (s / (s**2 + p) * along), float(y.mean())) for p in penalties
    }


def _predict(ridge: _Ridge, x: Floats) -> Floats:
    centre, spread, weights, intercept = ridge
    return np.asarray(intercept + (x - centre) / spread @ weights, np.float64)


def _mean_r(found: Floats, target: Floats, sets: NDArray[Any], least: int = 20) -> float:
    rs = []
    for name in np.unique(sets):
        rows = sets == name
        if rows.sum() >= least and target[rows].std() > 0 and found[rows].std() > 0:
            rs.append(float(np.corrcoef(found[rows], target[rows])[0, 1]))
    return float(np.mean(rs)) if rs else float("-inf")


# ---- words


def with_interval(figure: Figure) -> str:
    """A value with its interval, if it has one."""
    if figure.value is None:
        return "–"
    bounds = "" if figure.low is None else f" [{figure.low:.2f}, {figure.high:.2f}]"
    return f"{figure.value:.2f}{bounds}"


def shown(results: Results, reference: str) -> str:
    """Each system between random and perfect, and what it gains over the reference."""
    groups = list(dict.fromkeys(f.part for f in results.figures if f.metric == "aggregate"))
    groups = [g for g in groups if any(d.part == g for d in results.overall)]
    rows = []
    for system in dict.fromkeys(f.system for f in results.figures if f.benchmark == ALL):
        for group in groups:
            figure = next(
                (f for f in results.figures
                 if (f.benchmark, f.system, f.part, f.metric) == (ALL, system, group, "aggregate")),
                None,
            )  # fmt: skip
            if figure is None:
                continue
            found = next(
                (
                    d
                    for d in results.overall
                    if {d.a, d.b} == {reference, system} and d.part == group
                ),
                None,
            )
            gain = "–"
            if found is not None and found.value is not None and system != reference:
                sign = 1 if found.a == system else -1
                ends = [v for v in (found.low, found.high) if v is not None]
                low, high = sorted(sign * end for end in ends) if ends else (np.nan, np.nan)
                gain = f"{sign * found.value:+.2f} [{low:.2f}, {high:.2f}]"
            rows.append([
                system, group or "all", figure.n,
                with_interval(figure), gain,
            ])  # fmt: skip
    return table(
        ["system", "sets", "items", "between random and perfect", f"less {reference}"], rows
    )


def main() -> None:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    levers: dict[str, Callable[[argparse.Namespace], tuple[Results, dict[str, Any]]]] = {
        "mean": mean, "compare": compare, "questions": questions, "listings": listings,
        "readout": readout,
    }  # fmt: skip
    kinds = made.add_subparsers(dest="lever", required=True)
    for name in levers:
        one = kinds.add_parser(name)
        one.add_argument("--bench", type=Path, nargs="+", required=True)
        one.add_argument("--name", default=name, help="of the result's file")
        one.add_argument("--seed", type=int, default=0)
        one.add_argument("--resamples", type=int, default=999)
        one.add_argument("--out", type=Path, default=HERE / "results" / "levers")
        if name in ("mean", "compare"):
            one.add_argument("--systems", nargs=2, required=True)
            continue
        one.add_argument("--system", required=True, help="the plain judge's name in the runs")
        one.add_argument("--model", required=True)
        if name == "questions":
            one.add_argument("--questions", type=Path, default=HERE / "levers.yaml")
            one.add_argument("--limit", type=int, default=30, help="items of each set")
        elif name == "readout":
            one.add_argument("--examples", type=Path, required=True)
            one.add_argument("--n", type=int, default=2000, help="training examples")
            one.add_argument("--states", type=Path, required=True)
    args = made.parse_args()
    results, told = levers[args.lever](args)
    found = shown(results, args.systems[0] if "systems" in args else args.system)
    print(found)
    mains = {name: one["metrics"][0] for name, one in results.settings["benchmarks"].items()}
    figures = [
        figure.model_dump(mode="json", exclude={"method"})
        for figure in results.figures
        if not figure.part and figure.metric in ("aggregate", mains.get(figure.benchmark))
    ]
    result = {
        "facts": facts(),
        "lever": args.lever,
        "told": told,
        "figures": figures,
        "differences": [d.model_dump(mode="json") for d in results.differences],
        "overall": [d.model_dump(mode="json", exclude={"method"}) for d in results.overall],
        "table": found,
    }
    save(args.out, args.name, result)


if __name__ == "__main__":
    main()
