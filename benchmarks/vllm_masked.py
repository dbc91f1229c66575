"""What vLLM tells of the levels' probabilities under Glider's grammar, and without it.

    vllm serve MODEL --dtype float32 --structured-outputs-config.backend guidance
    python benchmarks/vllm_masked.py --base-url http://127.0.0.1:8000/v1 --model MODEL

Each text is asked for its bare score twice, as Glider asks (without a grammar) and with the
grammar. Probabilities of the levels are compared after they were made to sum to 1; `mass` is what
they sum to before.
"""

import json
import math
import urllib.request
from importlib.resources import files
from typing import Any

from common import facts, parser, save, settings

from glider.backends._openai_wire import LLGUIDANCE, Wire
from glider.core.generation import Decoding, GenerationRequest
from glider.core.samples import Sample
from glider.core.tasks import JudgeTask
from glider.data.library import load_criterion
from glider.formats.nano import NanoFormat


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--base-url", required=True)
    made.add_argument("--model", required=True)
    made.add_argument("--n", type=int, default=30, help="texts of the demo")
    args = made.parse_args()
    rows = files("glider.demo").joinpath("samples.jsonl").read_text("utf-8").splitlines()[: args.n]
    runs = [one(args.base_url, args.model, row, json.loads(text)) for row, text in enumerate(rows)]
    result: dict[str, Any] = {"facts": facts(), "settings": settings(args), "runs": runs}
    masses = [[run[name]["mass"] for run in runs] for name in ("grammar", "bare")]
    apart = max(run["apart"] for run in runs)
    result["table"] = "\n".join(
        [
            "| texts | mass under the grammar | mass without | levels differ by at most |",
            "|--:|---|---|--:|",
            f"| {len(runs)} | {min(masses[0]):.3f} to {max(masses[0]):.3f} | "
            f"{min(masses[1]):.3f} to {max(masses[1]):.3f} | {apart:.1e} |",
        ]
    )
    save(args.out, "vllm_masked", result)
    print(result["table"])


def one(url: str, model: str, row: int, record: dict[str, str]) -> dict[str, Any]:
    """Ask for one text in both ways."""
    sample = Sample.of(record["output"], input=record["input"], context=record["context"])
    prompt = NanoFormat(explain=False).render(JudgeTask(sample, load_criterion("faithfulness")))
    request = GenerationRequest(
        id=f"{row}", messages=prompt.messages, opening=prompt.opening, grammar=prompt.grammar,
        labels=prompt.labels, decoding=Decoding(max_tokens=1),
    )  # fmt: skip
    wire = Wire(model, "vllm")
    bare = wire.body(request)
    assert request.grammar is not None
    assert "structured_outputs" not in bare
    masked = bare | {"structured_outputs": {"grammar": LLGUIDANCE + request.grammar.lark}}
    found: dict[str, Any] = {}
    for name, body in (("bare", bare), ("grammar", masked)):
        answer = wire.answer(_post(url, body), request, body)
        assert answer.label_logprobs is not None
        probs = {label: math.exp(value) for label, value in answer.label_logprobs.items()}
        mass = sum(probs.values())
        found[name] = {"mass": mass, "levels": {k: p / mass for k, p in probs.items()}}
    levels = found["bare"]["levels"]
    apart = max(abs(levels[k] - found["grammar"]["levels"][k]) for k in levels)
    return {"row": row, **found, "apart": apart}


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    asked = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=300) as answered:
        found: dict[str, Any] = json.loads(answered.read())
    return found


if __name__ == "__main__":
    main()
