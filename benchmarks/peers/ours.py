"""Glider by its Python interface: `Judge.stream` with any backend. See worker.py for the form.

python peers/ours.py --tasks tasks.jsonl --out r.json --model openai/m --base-url URL
python peers/ours.py --tasks tasks.jsonl --out r.json --model embedded --no-explain
"""

from collections import Counter
from typing import Any

from worker import Meter, arguments, read_tasks

from glider.backends import open_backend
from glider.backends.base import Backend
from glider.core.criteria import Criterion
from glider.core.judgments import Judgment, Usage
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.formats import make_format
from glider.judging.judge import Judge


def main() -> None:
    made = arguments(__doc__)
    made.add_argument("--model", default="embedded")
    made.add_argument("--format", default="nano")
    made.add_argument("--order", default="score-first")
    made.add_argument("--layout", default="criterion-first")
    made.add_argument("--no-explain", action="store_true")
    made.add_argument("--as-given", action="store_true", help="do not sort by prompt beginning")
    args = made.parse_args()
    tasks = [
        JudgeTask(Sample.model_validate(t["sample"]), Criterion.model_validate(t["criterion"]))
        for t in read_tasks(args.tasks)
    ]
    options: dict[str, Any] = {}
    if args.model.startswith("openai/"):
        options = {"base_url": args.base_url, "max_in_flight": args.concurrency}
    form = args.format
    if form == "nano":
        form = make_format(
            "nano", order=args.order, layout=args.layout, explain=not args.no_explain
        )
    with Judge(open_backend(args.model, **options), format=form) as judge:
        if args.as_given:
            _unsorted(judge.backend)
        scores: list[float | None] = [None] * len(tasks)
        failures: Counter[str] = Counter()
        matches: Counter[str] = Counter()
        usage = Usage()
        meter = Meter()
        for number, outcome in judge.stream(enumerate(tasks)):
            if isinstance(outcome, Judgment):
                known = outcome.expected is not None
                scores[number] = outcome.expected if known else float(outcome.score)
                matches.update(highlight.match for highlight in outcome.highlights)
                usage += outcome.usage
            else:
                failures[getattr(outcome, "code", "?")] += 1
        meter.done(
            args.out,
            scores,
            "pydantic",
            version=_version(),
            judge=judge.id,
            failures=dict(failures),
            matches=dict(matches),
            usage=usage.model_dump(exclude={"seconds", "cost"}),
        )


def _unsorted(backend: Backend) -> None:
    """Say of a backend that order is nothing to it: the judge then keeps the order it is given."""
    from dataclasses import replace

    backend.capabilities = replace(backend.capabilities, prefix_cache=False)


def _version() -> str:
    from glider._version import __version__

    return __version__


if __name__ == "__main__":
    main()
