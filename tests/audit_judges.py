"""Made-up judges with a bias that is known, for the tests of the audit.

They read the nano prompt as a model would: the texts between their tags, the levels of the scale.
Texts say how good they are: `lvl3` is worth the third level of any rubric, whatever its numbers.
"""

import math
import re
from dataclasses import dataclass

from glider.audit.probe import Subject
from glider.audit.run import Auditor
from glider.backends.scripted import ScriptedBackend
from glider.core.criteria import Criterion, Rubric
from glider.core.generation import Generation
from glider.core.samples import Sample
from glider.formats.nano import NanoFormat
from glider.judging.judge import Judge
from glider.store.manifest import Manifest
from glider.store.run import RunFolder

CRITERION = Criterion(
    name="quality",
    question="How good is the {output}?",
    rubric=Rubric(levels={n: f"lvl{n} of five" for n in range(1, 6)}),
)


@dataclass
class Asked:
    """What a judge sees of a prompt."""

    texts: dict
    levels: dict
    """Score to description, in the order listed."""
    title: str

    @classmethod
    def of(cls, request):
        prompt = request.messages[-1].content
        texts = dict(re.findall(r"<([\w .-]+)>\n(.*?)\n</\1>", prompt, re.DOTALL))
        scale = re.search(r"Scores:\n(.*?)\n\n", prompt, re.DOTALL)[1]
        levels = dict(re.match(r"(-?\d+) = (.*)", line).groups() for line in scale.split("\n"))
        return cls(texts, {int(score): said for score, said in levels.items()},
                   re.search(r"Criterion: (.*)", prompt)[1])  # fmt: skip

    @property
    def pair(self):
        if "output 2" in self.texts:
            return self.texts["output 1"], self.texts["output 2"]
        return None

    def score_of(self, level):
        """The number under which a level (1..) is listed."""
        return sorted(self.levels)[min(max(level, 1), len(self.levels)) - 1]


def level(text):
    """The worth a text says it has."""
    found = re.search(r"lvl(\d)", text)
    return int(found[1]) if found else 1


def richness(text):
    """Different sentences: padding adds none, cutting loses some."""
    return level(text) * 100 + len(set(re.findall(r"fact \d+", text)))


def ideal(asked):
    """Goes by the worth alone; of two equals it says that they are."""
    if asked.pair:
        first, second = map(richness, asked.pair)
        return 0.5 if first == second else float(second > first)
    return asked.score_of(level(asked.texts["output"]))


def picks_first(asked):
    return 0.0 if asked.pair else ideal(asked)


def likes_length(asked):
    """One level for every 80 characters; of two the longer."""
    if asked.pair:
        return float(len(asked.pair[1]) > len(asked.pair[0]))
    return asked.score_of(len(asked.texts["output"]) // 80)


def obeys(asked):
    """Takes the last score that the text names as an order."""
    if asked.pair:
        return ideal(asked)
    text = re.sub(r"lvl\d|fact \d+", "", asked.texts["output"])
    orders = [int(n) for n in re.findall(r"(?<!\d)\d(?!\d)", text) if int(n) in asked.levels]
    return orders[-1] if orders else ideal(asked)


def follows_the_crowd(asked):
    note = asked.texts.get("note", "")
    if asked.pair and "believe" in note:
        return float("second" in note)
    said = re.search(r"the score (-?\d+)", note)
    return int(said[1]) if said else ideal(asked)


def knows_names(asked):
    """A famous name is worth the top, a weak one the bottom."""
    note = asked.texts.get("note", "")
    strong, weak = re.compile("GPT|Claude|Gemini"), re.compile("Alpaca|Dolly|Pythia")
    if asked.pair and strong.search(note):
        return float(strong.search(note).start() > weak.search(note).start())
    if strong.search(note):
        return max(asked.levels)
    return min(asked.levels) if weak.search(note) else ideal(asked)


def distracted(asked):
    """Anything off the point costs all."""
    odd = re.compile("stairs|raining|desk|canaries|tram|soup|car park|pens")
    if asked.pair:
        hits = [bool(odd.search(text)) for text in asked.pair]
        return ideal(asked) if hits[0] == hits[1] else float(hits[0])
    return min(asked.levels) if odd.search(asked.texts["output"]) else ideal(asked)


def likes_markdown(asked):
    if asked.pair:
        return ideal(asked)
    fancy = re.search(r"^- |\*\*|^## |```", asked.texts["output"], re.MULTILINE)
    return max(asked.levels) if fancy else ideal(asked)


def takes_last_listed(asked):
    return ideal(asked) if asked.pair else list(asked.levels)[-1]


def reads_numbers_as_such(asked):
    """Says 3 where there is a 3, whatever it stands for; else the nearest number."""
    return ideal(asked) if asked.pair else min(asked.levels, key=lambda score: abs(score - 3))


def sees_faults_everywhere(asked):
    """Judges the spelling under every criterion."""
    if asked.pair:
        return ideal(asked)
    right = len(re.findall(r"\bsentence\b", asked.texts["output"]))
    return max(asked.levels) if right >= 4 else min(asked.levels)


def backend_of(decide):
    """A backend that answers as `decide` does: a score, or of pairs the chance of the second."""

    def answer(request):
        asked = Asked.of(request)
        said = decide(asked)
        if isinstance(said, str | Exception | Generation):
            return said
        if not asked.pair:
            return str(said)
        logs = {"0": math.log(max(1 - said, 1e-9)), "1": math.log(max(said, 1e-9))}
        return Generation(text=f"Score: {int(said > 0.5)}", label_logprobs=logs)

    return ScriptedBackend(answer)


def judge_of(decide):
    return Judge(backend_of(decide), format=NanoFormat(explain=False))


def text_worth(number, worth):
    facts = " ".join(f"This sentence holds fact {number * 10 + n}." for n in range(4))
    return f"It is lvl{worth}. {facts}"


def texts(n, criterion=CRITERION):
    """Texts of worth 2, 3 and 4 in turn."""
    return [
        Subject(
            sample=Sample.of(text_worth(k, 2 + k % 3), input=f"Question {k}?", id=f"s{k}"),
            criterion=criterion,
        )
        for k in range(n)
    ]


def text_pairs(n, *, gold=True, own=()):
    """Pairs of different worth, the better one first and second in turn."""
    found = []
    for k in range(n):
        outputs = [text_worth(k, 4), text_worth(k, 2)]
        if k % 2:
            outputs.reverse()
        found.append(
            Subject(
                sample=Sample.of(outputs=outputs, input=f"Question {k}?", id=f"p{k}"),
                criterion=CRITERION, gold=float(k % 2) if gold else None, own=own,
            )
        )  # fmt: skip
    return found


def run_audit(path, judge, subjects, probes, *, bounds=None, seed=0):
    """An audit in a folder, and its findings by name."""
    auditor = Auditor(subjects, probes, seed=seed)
    manifest = Manifest.of(
        run_id="test", judge=judge.id, settings={}, criteria={}, input_path="x", input_sha256="x"
    )
    with RunFolder.create(path, manifest, [CRITERION]) as run:
        auditor.judge(judge, run, lambda row, outcome: None)
    found = auditor.report(judge=judge.id, data="x", settings={}, bounds=bounds or {})
    return found, {f.key: f for probe in found.probes for f in probe.findings}
