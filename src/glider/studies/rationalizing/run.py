"""Self-Rationalization (arXiv 2410.05495): train a judge on its own right and wrong answers.

The untrained model answers each prompt several times, constrained to the grammar it is served with.
The format's strict reader reads every answer; unreadable answers are counted and not used. Among
the others, a right answer is preferred to an answer that is wrong by a margin. A preference stage
trains on these pairs, and the process can be repeated with the trained model.

The folder while it grows:

    manifest.json                who answers what, and how; written once
    answers.jsonl                one line per answer, as it comes; only ever grows
    preferences-train.jsonl.gz   pairs; made of the answers at the end, and again whenever asked
    preferences-dev.jsonl.gz     pairs of development prompts, if they gave any
    result.json, card.md         what was counted
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from glider.corpus.examples import hash_of, required_format
from glider.judging.settings import JudgeSettings, Progress
from glider.store.folder import locked_folder, refuse_begun
from glider.store.manifest import Manifest
from glider.studies.rationalizing.asking import SampledAnswers, ask, questions
from glider.studies.rationalizing.preferences import Pairing, Rationalized, write_pairs
from glider.studies.rationalizing.settings import AnswererSettings, RationalizationSettings


@dataclass(frozen=True, slots=True)
class MadePairs:
    """A folder of pairs."""

    folder: Path
    figures: Rationalized
    """The statistics, as in result.json."""
    lost: Mapping[str, int]
    """Number of answers still missing, by error code; `resume` requests them."""
    reasons_first: bool
    """True if the reason comes before the score; otherwise the pairs teach the score and its
    explanation."""


def rationalize(
    data: Path,
    out: Path,
    answerer: AnswererSettings,
    settings: RationalizationSettings | None = None,
    *,
    resume: bool = False,
    notify: Callable[[str], None] = lambda _text: None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    fetching: Progress | None = None,
) -> MadePairs:
    """Sample a judge's answers to its training prompts, and pair right with wrong answers.

    Args:
        data: folder made by `make_data`.
        resume: keep the answers in `out`, request the missing ones and rebuild the pairs.
        progress: called with the number of new answers and the number that were missing.
        fetching: called with the progress of a model download.

    Raises:
        DataError: `data` is not a folder of examples, or is damaged.
        EmptySplit: there is no prompt, or the answers yield no pair; the answers are kept.
        SetupError: the settings are inconsistent.
        RunError, ManifestMismatch: as `locked_folder`; or the disk is full.
        Refused: the engine accepts none of the requests.
    """
    settings = settings or RationalizationSettings()
    settings.check()
    if not resume:
        refuse_begun(out)
    pairing = Pairing(
        samples=settings.samples,
        choose=settings.choose,  # type: ignore[arg-type]
        margin=settings.margin,
        pairs=settings.pairs,
        seed=settings.seed,
    )
    asked_in = required_format(data)
    if settings.order is not None:
        asked_in["order"] = settings.order
    judge_settings = JudgeSettings(
        **asdict(answerer),
        format=asked_in["format"],
        order=asked_in.get("order"),
        layout=asked_in.get("layout"),
    )
    with judge_settings.open(fetching) as judge:
        prompts = questions(data, judge.format, limit=settings.limit, seed=settings.seed)
        manifest = Manifest.of(
            judge=judge.id,
            # The manifest holds what determines an answer, but not the number of answers or their
            # pairing. A training on the pairs looks up the format under this key.
            settings={
                **asked_in,
                "temperature": settings.temperature,
                "seed": settings.seed,
                "max_tokens": settings.max_tokens,
                "grammar": judge_settings.grammar,
                "base_url": judge_settings.endpoint(),
            },
            criteria={},
            input_path=data.resolve().name,
            input_sha256=hash_of(data),
        )
        with locked_folder(out, manifest, resume=resume), SampledAnswers(out) as answers:
            if not judge.format.reasons_before_score:
                notify(
                    "the reason follows the score, so pairs teach the score and how to explain it; "
                    "--order reason-first lets the reason decide"
                )
            every = [question for one in prompts.values() for question in one.questions]
            missing = sum(
                not answers.has(q.example.id, n) for q in every for n in range(settings.samples)
            )
            count: Counter[str] = Counter()

            def answered() -> None:
                count["answered"] += 1
                progress(count["answered"], missing)

            lost = ask(
                judge.backend,
                every,
                answers,
                samples=settings.samples,
                temperature=settings.temperature,
                seed=settings.seed,
                max_tokens=settings.max_tokens,
                progress=answered,
            )
            figures = write_pairs(
                out,
                prompts,
                answers,
                judge.format,
                pairing,
                model=judge.id,
                temperature=settings.temperature,
            )
        reasons_first = judge.format.reasons_before_score
    return MadePairs(out, figures, dict(lost), reasons_first)
