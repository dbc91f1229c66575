"""Is glider-nano a better judge than its base, than simple rules, than people? On every local set.

    python benchmarks/trust.py --data FOLDER --held-out FOLDER            # base and nano
    python benchmarks/trust.py --data FOLDER --held-out FOLDER --model fast --nano ADAPTER
    python benchmarks/trust.py --page                   # figures and page anew from the runs

All see the same items: at most `--limit` of each set, of the sets that nano was trained on only
what was held out. It can be killed at any moment and started again: what was judged is kept in
`--runs`. The draw is seeded and its item ids are in the results. There are six surveys, each in
a folder of its own, any number of them at once (`--survey whole ways`):

- *whole*: base and nano on every set, as they are and with LLMBar's rules in the question;
- *marked*: nano asked for quotes and a reason on the sets whose texts people marked; each text is
  judged again without what was quoted;
- *reasons*: base and nano on every set once more, reason first and the mean of four such answers,
  on `--slow-limit` items of each set;
- *orders*: nano on twelve sets of many kinds as a bare score, score first with a reason, and reason
  first, on one engine, with the time each takes; `--slow-limit` items of each set;
- *ways*: every way of asking, reason first, several answers, the strategies, a jury, on twelve sets
  of many kinds. Most of them write before they score, so they see `--slow-limit` items of each set;
- *pairs*: base and nano on every set of pairs, both outputs in one prompt and each judged alone.

Writes docs/benchmarks.md and results/trust/: results.json, english.json (Pearson's r alone),
highlights.json, reasons.json, orders.json, ways.json, pairs.json, and of each survey the runs'
manifests, one a line. The runs hold the texts of the data and stay where they are; of a survey
whose runs are not there the page tells the figures that were written before.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from common import HERE, facts, machine, table, with_data

from glider.backends import BACKENDS
from glider.bench.bench import judge_sets, measurable
from glider.bench.benchmark import FigureSettings
from glider.bench.choose import choose
from glider.bench.collect import bench_runs, collect
from glider.bench.held_out import EXPOSURES, HeldOut
from glider.bench.highlights import FIRST_SENTENCE, RANDOM
from glider.bench.markdown import markdown
from glider.bench.results import Difference, Figure, Results
from glider.bench.scored import Reading
from glider.bench.settings import BenchSettings
from glider.bench.standing import Standings
from glider.bench.table import ALL
from glider.gold.sets import LabelledSet, load_set
from glider.judging.settings import JudgeSettings
from glider.store.manifest import Manifest

BASE, NANO, EXPLAINED = "base", "nano", "nano explained"
_BASE_MODEL = "smollm2-135m-instruct"
_JUDGE = re.compile(r"\w+/([^@ ]+)@(\w+)")
_WANTED, _WANTED_UNSEEN = 0.25, 0.10
"""How much better in Pearson's r than its base nano was meant to be."""
_F1 = "highlight F1"
_MARKED = (
    "faithbench", "finegrained_qa_feedback", "halueval_general", "mqm_ted_spans",
    "mr_ben_reasoning", "qags", "uhgeval_zh",
)  # fmt: skip
"""Sets whose texts people marked."""
_OF_MANY_KINDS = (
    "ukp_convincing_arguments", "begin_attribution", "semeval2013_answers", "dices_safety",
    "hhh_alignment", "summeval", "shepherd_human", "roscoe_reasoning",
    "llmbar", "topical_chat", "cefr_sp_wiki", "qags",
)  # fmt: skip
"""Four that nano was trained on, four others, four unseen tasks."""


_GROUPS = {
    "": "all sets",
    EXPOSURES[0]: "held-out parts of trained sets",
    EXPOSURES[1]: "other sets",
    EXPOSURES[2]: "unseen tasks",
}
_READ = """\
*expected* is the mean over the levels' probabilities (for accuracy, F1 and Matthews' correlation,
where a mean is no class, the likeliest level), *greedy* the likeliest level throughout; where only
one figure is given it is the first. A pair is asked in both orders. Of sets that were trained on,
only what was held out is measured; *unseen tasks* were kept out of training altogether. *Best
rule*: the simple rule over which the lead is smallest in that group, chosen by the same data. A set
on which a system has no honest figure, because it scores everything alike, counts as 0 in its mean,
and adds nothing to the interval. Intervals of macro-F1 hold the truth less often than 95 in 100
where a class is rare ([intervals.md](intervals.md)). What each set is, who
labelled it and under which licence: `glider bench --list --json`.
"""
_HIGHLIGHTS = """\
Glider-nano asked for quotes and a reason. *read*: answers that could be read; *quotes verbatim*:
the share of quotes that stand in the text letter for letter. F1 is of quoted words against those
that people marked, on the items they marked; *random spans* are the same quotes pushed round the
text. Where people marked most of a text random spans come near 1, and twice that cannot be had.
*moved*: how far the score moves when what was quoted is taken out, in shares of the scale, beside
as many random words.
"""
_ON_REASONS = """\
The other order of the same form, on every set: quotes and a reason are written first, the score
after them. As in the first table random answers get 0 and perfect ones 1; *expected* is the mean
over the levels' probabilities, *greedy* the likeliest level. A single answer is written at
temperature 0, the four of K=4 are sampled at 0.8. All see the same few items. How long each takes
is in [performance.md](performance.md).
"""
_ON_ORDERS = """\
What a reason costs and what it brings: glider-nano on the same few items of twelve sets, asked
for the score alone, for score, quotes and reason in this order, and for quotes and reason before
the score; all on the embedded engine, one after the other. *a minute*: items in a minute of the
clock, and of processor time, which other jobs touch less; loading the model once is in it, and a
pair, asked in both orders, is one item.
"""
_WAYS = """\
Ways of asking, on twelve sets of many kinds, the same few items for each. A pair is asked in both
orders whatever the way (`swap`). As in the first table random answers get 0 and perfect ones 1;
*expected* is the mean over the levels' probabilities, *greedy* the likeliest level. What is written
is written at temperature 0, but for the four answers of K=4, sampled at 0.8. Sets on which too
little can be told of a judge, or whose texts it refuses (banded and sentences judge no pairs,
questions and reference need an input), are not counted. With so few items only a large difference
can be told from none: look at the brackets.
"""
_PAIRS = """\
Every set of pairs. The winner is named by the mean over both orders, so that a judge of pairs and
one that never saw them together are measured alike; again random answers get 0, perfect ones 1.
"""


# ---- judging


@dataclass(frozen=True)
class System:
    """A judge, and what it is called."""

    name: str
    what: str
    base: bool = False
    """The model that nano was made of, not nano."""
    asked: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the judge; bare scores where nothing is said."""
    writes: bool = False
    """It writes before it scores, which the engine that only reads scores cannot."""
    readings: tuple[Reading, ...] | None = None
    """Ways of reading a distribution over levels; all that there are if not given."""

    def settings(self, args: argparse.Namespace) -> JudgeSettings:
        """Who judges and how."""
        named = args.nano.partition("/")[0] in BACKENDS.names()
        engine = "embedded" if self.writes else args.model
        nano = args.nano.partition("/")[2] if named else args.nano
        bare: dict[str, Any] = {"explain": False, "truncate": True, "seed": args.seed}
        asked = bare | dict(self.asked)
        if "jury" in asked:
            asked["jury"] = tuple(f"{engine}/{model}" for model in asked["jury"])
        return JudgeSettings(model=f"{engine}/{_BASE_MODEL if self.base else nano}", **asked)


@dataclass(frozen=True)
class Survey:
    """Some systems on some sets, measured by themselves."""

    systems: tuple[System, ...]
    sets: tuple[str, ...] = ()
    """Only these; every set that is there where it is empty."""
    kind: str = ""
    """Only sets of this kind."""
    folder: str = ""
    """Below `--runs`."""
    slow: bool = False
    deletion: bool = False
    """Judge the texts again without what was quoted."""


_RULES = {"strategies": ("rules",)}
_REASONED = {"order": "reason-first", "explain": True}
_FOUR = _REASONED | {"samples": 4}
_AS_IT_IS = (
    System(BASE, "SmolLM2-135M-Instruct as it comes, which nobody trained to judge", base=True),
    System(NANO, "glider-nano, the same model trained by `glider train`"),
)
_BY_RULES = (
    System(
        "base +rules",
        "the base with LLMBar's rules in the question (arXiv 2310.07641)",
        base=True,
        asked=_RULES,
        readings=("expected",),
    ),
    System("nano +rules", "glider-nano with the same rules", asked=_RULES, readings=("expected",)),
)
_ALONE = (
    System("base +pointwise", "of a pair each output judged alone", base=True,
           asked={"strategies": ("pointwise",)}),
    System("nano +pointwise", "of a pair each output judged alone",
           asked={"strategies": ("pointwise",)}),
)  # fmt: skip
_WRITTEN_FIRST = "quotes and reason before the score"
_MEAN = "four sampled reasons before the score, the mean of their expected scores"
_REASON_FIRST = (
    System("base reason-first", _WRITTEN_FIRST, base=True, asked=_REASONED, writes=True),
    System("nano reason-first", _WRITTEN_FIRST, asked=_REASONED, writes=True),
)
_ORDERS = (
    System(NANO, "the score alone", writes=True),
    System(EXPLAINED, "score, then quotes and a reason", asked={"explain": True}, writes=True),
    _REASON_FIRST[1],
)
_FOUR_ANSWERS = (
    System("base reason-first K=4", _MEAN, base=True, asked=_FOUR, writes=True),
    System("nano reason-first K=4", _MEAN, asked=_FOUR, writes=True),
)
SURVEYS = {
    "whole": Survey((*_AS_IT_IS, *_BY_RULES)),
    "marked": Survey(
        (
            System(
                EXPLAINED, "quotes and a reason after the score", asked={"explain": True},
                writes=True,
            ),
        ),
        sets=_MARKED, folder="explained", deletion=True,
    ),
    "reasons": Survey(
        (*_AS_IT_IS, *_REASON_FIRST, *_FOUR_ANSWERS), folder="reasons", slow=True
    ),
    "orders": Survey(_ORDERS, sets=_OF_MANY_KINDS, folder="orders", slow=True),
    "ways": Survey(
        (
            *_AS_IT_IS, *_BY_RULES,
            *_ALONE,
            System("nano +banded", "five bands of a scale to 100 for the levels",
                   asked={"strategies": ("banded",)}),
            System("nano +sentences", "each sentence alone, the worst decides",
                   asked={"strategies": ("sentences",)}),
            System("nano and base", "the mean of both models", asked={"jury": (_BASE_MODEL,)},
                   writes=True),
            *_REASON_FIRST,
            System("nano +questions", "three questions about this input, written first",
                   asked={"strategies": ("questions",)}, writes=True),
            System("nano +reference", "an answer of its own, written first, as the reference",
                   asked={"strategies": ("reference",)}, writes=True),
            System("nano +scenario", "aspects and weights of the kind of task it takes this for",
                   asked={"strategies": ("scenario",)}, writes=True),
            System("nano +decompose", "three aspects of its own, summed up outside",
                   asked={"strategies": ("decompose",)}, writes=True),
            *_FOUR_ANSWERS,
        ),
        sets=_OF_MANY_KINDS, folder="ways", slow=True,
    ),
    "pairs": Survey((*_AS_IT_IS, *_ALONE), kind="pairs", folder="pairs"),
}  # fmt: skip
"""In each the fast ones first: a night cut short still has their figures."""


def judge(args: argparse.Namespace) -> None:
    """Every system that was asked for on every set; goes on with what is there."""
    chosen = [each for each in choose(args.sets, args.data) if each.is_there]
    if not chosen:
        sys.exit(f"no data of these sets in {args.data.name}: give --data")
    kept = HeldOut.read(args.held_out) if args.held_out else None
    if kept:
        chosen = measurable(chosen, kept, args.sets)
    for survey in (SURVEYS[name] for name in args.survey):
        own = [
            each
            for each in chosen
            if (not survey.sets or each.labelled.name in survey.sets)
            and survey.kind in ("", each.labelled.kind)
        ]
        limit = args.slow_limit if survey.slow else args.limit
        for system in survey.systems:
            if args.only and system.name not in args.only:
                continue
            print(f"== {system.name}: {len(own)} sets, at most {limit} items each", flush=True)
            began = time.perf_counter(), time.process_time()
            judge_sets(
                own,
                args.runs / survey.folder,
                settings=system.settings(args),
                system=system.name,
                how=BenchSettings(limit=limit, deletion=survey.deletion),
                held_out=kept,
                resume=True,
                readings=system.readings,
            )
            ended = time.perf_counter(), time.process_time()
            spent = [round(b - a, 1) for a, b in zip(began, ended, strict=True)]
            _note_time(args.runs / survey.folder, system.name, spent)


def _note_time(folder: Path, system: str, spent: Sequence[float]) -> None:
    """Add what a system took, by the clock and of the processor; a killed one adds nothing."""
    path = folder / "times.json"
    times = json.loads(path.read_text("utf-8")) if path.exists() else {}
    before = times.get(system, [0.0, 0.0])
    times[system] = [round(a + b, 1) for a, b in zip(before, spent, strict=True)]
    path.write_text(json.dumps(times) + "\n", "utf-8")


# ---- writing


def write(args: argparse.Namespace) -> Results:
    """Figures and page from the runs that are there, or from the figures where no runs are."""
    settings = FigureSettings(
        seed=args.seed, n_resamples=args.resamples, n_permutations=args.resamples
    )
    folder = args.out / "trust"
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, Results] = {}
    for survey, files in _FILES.items():
        runs = args.runs / SURVEYS[survey].folder
        if (runs / "runs").is_dir():
            for name, sets in files.items():
                result = _measured(runs, settings, sets)
                text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
                (folder / f"{name}.json").write_text(text, "utf-8")
            lines = "".join(_manifest(run.manifest) for run in bench_runs(runs))
            (folder / f"{survey}.manifests.jsonl").write_text(lines, "utf-8")
        for name in files:
            if (path := folder / f"{name}.json").exists():
                made[name] = Results.model_validate_json(path.read_bytes())
    if "results" not in made:
        sys.exit(f"no runs in {args.runs.name}: the survey of the whole was never made")
    args.docs.write_text(page(**made), "utf-8")
    return made["results"]


def _measured(
    runs: Path, settings: FigureSettings, sets: Callable[[LabelledSet], LabelledSet | None]
) -> dict[str, Any]:
    plain = collect(runs, settings=settings, sets=sets).model_dump(mode="json")
    # Read back by `Results`, which knows no other keys: so it stands in the settings.
    plain["settings"]["made_by"] = facts()
    if (runs / "times.json").exists():
        plain["settings"]["times"] = json.loads((runs / "times.json").read_text("utf-8"))
    for about in plain["settings"]["systems"].values():
        about["settings"] = _without_folder(about.get("settings", {}))
    return plain


def _manifest(manifest: Manifest) -> str:
    plain = manifest.model_dump(mode="json")
    plain["settings"]["judge"] = _without_folder(plain["settings"]["judge"])
    return json.dumps(plain, ensure_ascii=False) + "\n"


def in_both_orders(labelled: LabelledSet) -> LabelledSet:
    """Pairs: the same for a judge of pairs and for one of single texts, which has no order."""
    return labelled.model_copy(update={"metrics": ("accuracy_averaged", "accuracy_both")})


def as_they_are(labelled: LabelledSet) -> LabelledSet:
    """Each set in the metrics it has by now: they were not asked when it was judged."""
    return labelled.model_copy(update={"metrics": load_set(labelled.name).metrics})


def in_pearson(labelled: LabelledSet) -> LabelledSet | None:
    """A pointwise English set, to be measured in Pearson's r alone; None of any other."""
    if labelled.kind == "pairs" or labelled.languages != ("en",):
        return None
    return labelled.model_copy(update={"metrics": ("pearson",)})


_FILES: dict[str, dict[str, Callable[[LabelledSet], LabelledSet | None]]] = {
    "whole": {"results": as_they_are, "english": in_pearson},
    "marked": {"highlights": as_they_are},
    "reasons": {"reasons": as_they_are},
    "orders": {"orders": as_they_are},
    "ways": {"ways": as_they_are},
    "pairs": {"pairs": in_both_orders},
}
"""What the results of each survey are called, and in what its sets are measured."""


def _without_folder(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a judge; of a model in a folder only the folder's name."""
    engine, _, model = str(settings.get("model", "")).partition("/")
    if not settings or "/" not in model:
        return dict(settings)
    return {**settings, "model": f"{engine}/{Path(model).name}"}


class Group:
    """What was found about base and nano over one group of sets."""

    def __init__(self, results: Results, part: str) -> None:
        self.standings, self.part = Standings(results), part
        self.base, self.nano = (_first_reading(self.standings, name) for name in (BASE, NANO))

    @property
    def lead(self) -> str:
        """Nano, or the base where nano was not measured."""
        return self.nano or self.base

    def whole(self, system: str) -> Figure | None:
        """The mean over the group's sets."""
        return self.standings.aggregate(system, self.part)

    def over(self, other: str) -> Difference | None:
        """The leading judge less another system."""
        return _less(self.standings.results, self.lead, other, self.part)

    @cached_property
    def over_rules(self) -> Difference | None:
        """The lead over that simple rule over which it is smallest."""
        found = [d for rule in self.standings.of_kind("baseline") if (d := self.over(rule))]
        return min(found, key=lambda d: d.value or 0.0, default=None)

    @cached_property
    def over_people(self) -> Difference | None:
        """The lead over one person, on the sets that several people rated."""
        return next((d for s in self.standings.of_kind("people") if (d := self.over(s))), None)

    def readable(self, system: str) -> Figure | None:
        """The share of items with an answer that could be read."""
        return self.standings.figure(ALL, system, "coverage", self.part)


def _first_reading(standings: Standings, name: str) -> str:
    """What a judge is called in the results; empty where it was not measured."""
    judges = standings.of_kind("judge")
    return next((s for s in (f"{name}, expected", name) if s in judges), "")


def _less(results: Results, a: str, b: str, part: str) -> Difference | None:
    """The mean of one system less that of another, over a group of sets."""
    for d in results.overall:
        if d.part == part and {d.a, d.b} == {a, b}:
            return d if d.a == a else _turned(d)
    return None


def _turned(d: Difference) -> Difference:
    ends = {"low": None if d.high is None else -d.high, "high": None if d.low is None else -d.low}
    value = None if d.value is None else -d.value
    return d.model_copy(update={"a": d.b, "b": d.a, "value": value, **ends})


def page(
    results: Results,
    english: Results,
    highlights: Results | None = None,
    reasons: Results | None = None,
    orders: Results | None = None,
    ways: Results | None = None,
    pairs: Results | None = None,
) -> str:
    """docs/benchmarks.md: the answer, the groups, then everything."""
    report = markdown(results, title="Benchmarks")
    head, _, rest = report.partition("\n\n")
    made = results.settings["made_by"]
    judges = {system.partition(", ")[0] for system in Standings(results).of_kind("judge")}
    listed = "\n".join(
        f"- **{one.name}**: {one.what}." for one in SURVEYS["whole"].systems if one.name in judges
    )
    there = {about["exposure"] for about in results.settings["benchmarks"].values()}
    parts = ["", *(exposure for exposure in EXPOSURES if exposure in there)]
    groups = [Group(results, part) for part in parts]

    def section(
        title: str, about: str, found: Results | None, shown: Callable[[Results], str]
    ) -> list[str]:
        if found is None:
            return []
        return [f"## {title}", about, *_of_an_earlier(found, results), shown(found)]

    pearson = [Group(english, part) for part in parts]
    blocks = [
        head,
        answer(groups, pearson, highlights),
        listed,
        _READ,
        f"Made by `benchmarks/trust.py` on {machine(made)}.",
        "## By what was trained on",
        "Each set's main metric, mapped so that random answers get 0 and perfect ones 1, then "
        "averaged over the sets.",
        group_table(groups),
        "Pearson's r, averaged over the pointwise English sets.",
        group_table(pearson),
        "Share of items with an answer that could be read.",
        readable_table(groups),
        *section("Highlights", _HIGHLIGHTS, highlights, highlight_table),
        *section("Reason first", _ON_REASONS, reasons, partial(ways_table, "reasons")),
        *section("What a reason costs", _ON_ORDERS, orders, orders_table),
        *section("Ways of asking", _WAYS, ways, partial(ways_table, "ways")),
        *section("Pairs, each output alone", _PAIRS, pairs, partial(ways_table, "pairs")),
        rest,
    ]
    return "\n\n".join(block.strip() for block in blocks) + "\n"


def _of_an_earlier(found: Results, results: Results) -> list[str]:
    """A line where a survey was made with another glider-nano than the whole."""
    earlier = _adapters(found) - _adapters(results)
    if not earlier:
        return []
    return [f"Measured with an earlier glider-nano ({', '.join(sorted(earlier))})."]


def _adapters(found: Results) -> set[str]:
    """Fingerprints of the judges that are not the base."""
    judges = (about.get("judge") or "" for about in found.settings["systems"].values())
    return {match[2] for match in map(_JUDGE.match, judges) if match and match[1] != _BASE_MODEL}


def answer(groups: Sequence[Group], pearson: Sequence[Group], highlights: Results | None) -> str:
    """Is nano better than base, than the rules, than people? A line for each."""
    whole, english = groups[0], pearson[0]
    name = NANO if whole.nano else BASE
    lines = []
    if whole.nano:
        lines += [
            f"**{_better(whole.over(whole.base))} its base.** Where random answers get 0 and "
            f"perfect ones 1, nano gets {_cell(whole.whole(whole.nano))} and base "
            f"{_cell(whole.whole(whole.base))}: {_gain(whole.over(whole.base))}. "
            + _by_group(groups, lambda group: group.over(group.base)),
        ]
    if rule := whole.over_rules:
        lines.append(
            f"**{_better(rule)} every simple rule**, among them the length of the text: "
            f"{_gain(rule)} over *{rule.b}*, the nearest. "
            + _by_group(groups, lambda group: group.over_rules, named=True)
        )
    if people := whole.over_people:
        lines.append(
            f"**{_better(people)} one person** against the others, where several rated: "
            f"{_gain(people)}."
        )
    if english.lead and english.whole(english.lead):
        mean = f"**Pearson's r** over {_sets(english.whole(english.lead))} pointwise English sets: "
        mean += f"{name} {_cell(english.whole(english.lead))}"
        if english.nano:
            gain = english.over(english.base)
            mean += f", base {_cell(english.whole(english.base))}: {_gain(gain)}, "
            mean += f"wanted +{_WANTED:.2f} ({_reached(gain, _WANTED)})"
            unseen = [g.over(g.base) for g in pearson if g.part == EXPOSURES[2]]
            if unseen:
                mean += f"; on unseen tasks {_gain(unseen[0])}, wanted +{_WANTED_UNSEEN:.2f} "
                mean += f"({_reached(unseen[0], _WANTED_UNSEEN)})"
        if rule := english.over_rules:
            mean += f"; over *{rule.b}*, the nearest rule, {_gain(rule)}"
        lines.append(mean + ".")
    shares = {s: whole.readable(s) for s in (whole.nano, whole.base) if s}
    told = ", ".join(f"{s.partition(',')[0]} {_percent(f)}" for s, f in shares.items() if f)
    lines.append(f"**Readable answers**: {told}.")
    if highlights:
        lines.append(_marked(highlights))
    return "\n".join(f"{n}. {line}" for n, line in enumerate(lines, start=1))


def _marked(found: Results) -> str:
    """How the quotes stand to the places that people marked."""
    at = {(f.benchmark, f.system): f for f in found.figures if f.metric == _F1 and not f.part}
    better = [d for d in found.differences if d.metric == _F1 and d.b == RANDOM]
    sure = sum(d.low is not None and d.low > 0 for d in better)
    twice = sum(
        (own := at[name, system].value) is not None
        and (chance := at[name, RANDOM].value) is not None
        and own >= 2 * chance
        for name, system in at
        if system not in (RANDOM, FIRST_SENTENCE)
    )
    return (
        f"**Quotes against the places that people marked**: significantly better (Holm) "
        "than random spans on "
        f"{sure} of {len(better)} sets, twice as good (which was wanted) on {twice}."
    )


def _by_group(groups: Sequence[Group], of: Any, *, named: bool = False) -> str:
    told = []
    for group in groups[1:]:
        d = of(group)
        if d is not None:
            rule = f" ({d.b})" if named else ""
            told.append(f"{_GROUPS[group.part]} {_interval(d, signed=True)}{rule}")
    listed = "; ".join(told)
    return f"{listed[:1].upper()}{listed[1:]}." if told else ""


def group_table(groups: Sequence[Group]) -> str:
    """One row for each group of sets."""
    heads = [
        "group", "sets", "items", "base", "nano", "nano less base", "less the best rule",
        "one person", "less one person",
    ]  # fmt: skip
    rows = []
    for group in groups:
        own = group.whole(group.lead) if group.lead else None
        if own is None:
            continue
        people = [group.whole(s) for s in group.standings.of_kind("people")]
        rule, person = group.over_rules, group.over_people
        rows.append(
            [
                _GROUPS[group.part],
                _sets(own),
                f"{own.n:,}",
                _cell(group.whole(group.base)) if group.base else "–",
                _cell(group.whole(group.nano)) if group.nano else "–",
                _interval(group.over(group.base), signed=True) if group.nano else "–",
                f"{_interval(rule, signed=True)} {rule.b}" if rule else "–",
                f"{_cell(people[0])} ({_sets(people[0])})" if people and people[0] else "–",
                _interval(person, signed=True),
            ]
        )
    return table(heads, rows)


def readable_table(groups: Sequence[Group]) -> str:
    """One row for each judge, one column for each group."""
    rows = []
    for system in groups[0].standings.of_kind("judge"):
        if not system.endswith(", greedy"):  # the same answers, read in another way
            cells = [_percent(found) if (found := g.readable(system)) else "–" for g in groups]
            rows.append([system.removesuffix(", expected"), *cells])
    return table(["judge", *(_GROUPS[group.part] for group in groups)], rows)


def highlight_table(found: Results) -> str:
    """One row for each set that people marked."""
    heads = [
        "set", "items", "read", "quotes verbatim", "marked items", "F1", "F1, random spans",
        "F1, first sentence", "less random", "moved", "moved, random", "less random",
    ]  # fmt: skip
    stand_ins = (RANDOM, FIRST_SENTENCE)
    at = {(f.benchmark, f.metric, f.system): f for f in found.figures if not f.part}
    less = {(d.benchmark, d.metric): d for d in found.differences if d.b == RANDOM}
    judge = next(f.system for f in found.figures if f.metric == "exact quotes")
    rows = []
    for name in found.settings["benchmarks"]:
        exact = at[name, "exact quotes", judge]
        f1 = {system: at.get((name, _F1, system)) for system in (judge, *stand_ins)}
        moved = {system: at.get((name, "score moved", system)) for system in (judge, RANDOM)}
        rows.append(
            [
                name,
                f"{exact.asked}",
                f"{exact.judged}",
                _cell(exact),
                f"{own.n}" if (own := f1[judge]) else "–",
                *(_cell(figure) for figure in f1.values()),
                _interval(less.get((name, _F1)), signed=True),
                *(_cell(figure) for figure in moved.values()),
                _interval(less.get((name, "score moved")), signed=True),
            ]
        )
    return table(heads, rows)


def ways_table(survey: str, found: Results) -> str:
    """One row for each way of asking and reading."""
    standings = Standings(found)
    parts = [part for part in _GROUPS if standings.aggregate(standings.lead or "", part)]
    plain = _first_reading(standings, NANO)
    heads = ["judge", "how", "read", "sets", "items", *(_GROUPS[part] for part in parts)]
    rows = []
    for one in SURVEYS[survey].systems:
        for system in standings.of_kind("judge"):
            if system.partition(", ")[0] != one.name:
                continue
            whole, read = standings.aggregate(system), standings.figure(ALL, system, "coverage")
            same = standings.aggregate(f"{one.name}, expected")
            if whole is None or (whole is not same and same and whole.value == same.value):
                continue  # a winner named by two orders has one reading
            if read is not None and not read.judged:
                continue  # it refuses such texts
            less = _less(found, system, plain, "")
            rows.append(
                [
                    system,
                    one.what,
                    f"{read.judged} of {read.asked}" if read else "–",
                    _sets(whole),
                    f"{whole.n}",
                    *(_cell(standings.aggregate(system, part)) for part in parts),
                    _interval(less, signed=True) if system != plain else "",
                ]
            )
    return table([*heads, f"less {plain}"], rows)


def orders_table(found: Results) -> str:
    """What each order of the answer costs, and how good it is."""
    standings, times = Standings(found), found.settings["times"]
    rows = []
    for one in _ORDERS:
        system = _first_reading(standings, one.name)
        whole, read = standings.aggregate(system), standings.figure(ALL, system, "coverage")
        if whole is None or read is None:
            continue
        clock, processor = (60 * read.judged / seconds for seconds in times[one.name])
        rows.append(
            [
                one.name,
                one.what,
                f"{read.judged} of {read.asked}",
                f"{clock:.1f}",
                f"{processor:.1f}",
                _sets(whole),
                _cell(whole),
                _interval(_less(found, system, _first_reading(standings, NANO), ""), signed=True),
            ]
        )
    heads = ["judge", "how", "read", "a minute", "a minute, processor", "sets", "all sets"]
    return table([*heads, "less the score alone"], rows)


def _better(d: Difference | None) -> str:
    if d is None or d.low is None or d.high is None:
        return "Not told apart from"
    return "Better than" if d.low > 0 else "Worse than" if d.high < 0 else "Not told apart from"


def _reached(d: Difference | None, wanted: float) -> str:
    return "reached" if d is not None and (d.value or 0.0) >= wanted else "missed"


def _gain(d: Difference | None) -> str:
    if d is None:
        return "not compared"
    return (
        f"{_interval(d, signed=True)} on {d.n:,} items of {_sets(d)} set{'s' * (_sets(d) != '1')}"
    )


def _cell(figure: Figure | None) -> str:
    return _interval(figure)


def _interval(found: Figure | Difference | None, *, signed: bool = False) -> str:
    if found is None or found.value is None:
        return "–"
    shape = "+.2f" if signed else ".2f"
    if found.low is None or found.high is None:
        return f"{found.value:{shape}}"
    return f"{found.value:{shape}} [{found.low:{shape}}, {found.high:{shape}}]"


def _sets(found: Figure | Difference | None) -> str:
    """Over how many sets a mean is; its method says it."""
    return found.method.split()[2] if found else "0"


def _percent(figure: Figure) -> str:
    share = figure.judged / figure.asked
    ends = "" if figure.low is None else f" [{figure.low:.1%}, {figure.high:.1%}]"
    return f"{share:.1%}{ends} of {figure.asked:,}"


def main(argv: Sequence[str] | None = None) -> None:
    """Judge, then write."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    with_data(made)
    made.add_argument("--held-out", type=Path, help="folder that `glider data` wrote for nano")
    made.add_argument(
        "--nano", default="glider-nano", help="catalogue name, folder, PROVIDER/MODEL"
    )
    made.add_argument("--runs", type=Path, default=HERE.parent / "runs" / "trust")
    made.add_argument("--out", type=Path, default=HERE / "results", help="folder for the JSON")
    made.add_argument("--docs", type=Path, default=HERE.parent / "docs" / "benchmarks.md")
    made.add_argument("--sets", nargs="+", default=["all"], help="as in `glider bench`")
    made.add_argument("--survey", nargs="+", choices=SURVEYS, default=["whole"])
    known = sorted({one.name for survey in SURVEYS.values() for one in survey.systems})
    made.add_argument(
        "--only", nargs="+", choices=known, metavar="SYSTEM", help=f"of these: {', '.join(known)}"
    )
    made.add_argument("--model", default="embedded", help="what runs them: embedded, or fast")
    made.add_argument("--limit", type=int, default=60)
    made.add_argument("--slow-limit", type=int, default=12, help="of each set, where all is asked")
    made.add_argument("--resamples", type=int, default=999)
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--page", action="store_true", help="judge nothing")
    made.add_argument("--no-page", action="store_true", help="judge only, several side by side")
    args = made.parse_args(argv)
    if not args.page:
        judge(args)
    if args.no_page:
        return
    results = write(args)
    print(f"{len(results.figures)} figures, {len(results.differences)} differences")


if __name__ == "__main__":
    main()
