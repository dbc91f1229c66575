"""Self-Rationalization (arXiv 2410.05495): a judge learns from its own right and wrong answers.

The model as it is answers each prompt several times, held to the grammar it is served with. Every
answer is read by the strict reader of its format; one that cannot be read is counted, and nothing
is learnt from it. Of the others a right one is preferred to one that is wrong by a margin. A
preference stage learns these pairs, and its result can be asked anew.

The folder while it grows:

    manifest.json                who answers what, and how; written once
    answers.jsonl                one line per answer, as it comes; only ever grows
    preferences-train.jsonl.gz   pairs; made of the answers at the end, and again whenever asked
    preferences-dev.jsonl.gz     pairs of development prompts, if they gave any
    result.json, card.md         what was counted
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from glider.corpus.examples import hash_of, required_format
from glider.judging.settings import JudgeSettings, Progress
from glider.store.folder import locked_folder, refuse_begun
from glider.store.manifest import Manifest
from glider.studies.rationalizing.asking import Answers, ask, questions
from glider.studies.rationalizing.preferences import Pairing, Rationalized, write_pairs
from glider.studies.rationalizing.settings import AnswererSettings, RationalizationSettings


@dataclass(frozen=True, slots=True)
class MadePairs:
    """A folder of pairs."""

    folder: Path
    figures: Rationalized
    """What was counted, as its result.json has it."""
    lost: Mapping[str, int]
    """Answers that may still come, by the code of what failed: `resume` asks for them."""
    reasons_first: bool
    """The reason leads to the score; else pairs teach the score and how it is explained."""


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
    """Let a judge answer its training prompts several times, and pair right with wrong answers.

    Args:
        data: folder that `make_data` made.
        resume: keep the answers in `out`, ask for what is missing, make the pairs anew.
        progress: called with the answers that are there, of how many that were missing.
        fetching: called with how far the fetching of a model is.

    Raises:
        DataError: `data` is no folder of examples, or damaged.
        EmptySplit: there is no prompt, or the answers give no pair; they are kept.
        SetupError: settings that do not fit together.
        RunError, ManifestMismatch: as `locked_folder`; or the disk is full.
        Refused: the engine takes none of the requests.
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
            run_id=time.strftime("%Y%m%d-%H%M%S", time.gmtime()),
            judge=judge.id,
            # What decides an answer; how many there are, and how they are paired, does not. A
            # training on the pairs finds the format under its name.
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
        with locked_folder(out, manifest, resume=resume), Answers(out) as answers:
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
