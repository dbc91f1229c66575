"""How well does a base model know the texts it is to judge? Bits a character, before any training.

    python benchmarks/bases.py --data FOLDER            # the three bases of the catalogue
    python benchmarks/bases.py --data FOLDER --models smollm2-135m-instruct my-folder

A judge of English has to read English first. Of each set --n English texts are drawn, judged
outputs and the documents they are about, cut at --chars characters; each model reads every text by
itself and pays what it would take to send it. A character costs the same whatever the tokenizer,
so models with different vocabularies can be compared. The interval resamples texts, and the
difference from the first model is taken text by text.
"""

import math
import random
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from common import facts, parser, records, save, settings, table, with_data

from glider.models.resolve import resolve
from glider.stats.estimates import Estimate, Undefined
from glider.stats.resampling import bootstrap
from glider.stats.statistic import Floats, ratio_of
from glider.training.base_model import load_as_it_is, load_tokenizer

_MODELS = (
    "smollm2-135m-instruct",
    "qwen2.5-coder-0.5b-instruct",
    "qwen2.5-coder-1.5b-instruct",
)
_SETS = (
    "begin_attribution",
    "esnli_explanations",
    "halueval_general",
    "qags",
    "saf_short_answers",
    "semeval2013_answers",
    "summedits",
    "topical_chat",
    "ukp_convincing_arguments",
)
_LIMITS = (-math.inf, math.inf)


def main() -> None:
    made = parser(__doc__)
    with_data(made)
    made.add_argument("--models", nargs="+", default=_MODELS, help="by name, folder or .gguf file")
    made.add_argument("--n", type=int, default=24, help="texts of each set")
    made.add_argument("--chars", type=int, default=1200, help="characters of a text")
    args = made.parse_args()
    texts = {
        name: _texts(records(args.data, name), args.n, args.chars, args.seed) for name in _SETS
    }
    result: dict[str, Any] = {
        "facts": facts(),
        "settings": settings(args),
        "sets": {name: len(those) for name, those in texts.items()},
        "models": [],
    }
    of_set = np.repeat(list(texts), [len(those) for those in texts.values()])
    chars = np.array([len(text) for those in texts.values() for text in those], np.float64)
    first: Floats | None = None
    for name in args.models:
        bits = _bits(name, [text for those in texts.values() for text in those])
        first = bits if first is None else first
        rng = np.random.default_rng(args.seed)
        one = {"model": name, "all": _figure(bits, chars, rng)}
        one["less_first"] = _figure(bits - first, chars, rng) if bits is not first else None
        one["by_set"] = {s: _figure(bits[of_set == s], chars[of_set == s], rng) for s in texts}
        result["models"].append(one)
        print(name, one["all"], one["less_first"], file=sys.stderr)
    result["table"] = _table(result)
    save(args.out, "bases", result)
    print(result["table"])


def _texts(found: Sequence[dict[str, Any]], n: int, chars: int, seed: int) -> list[str]:
    """Draw different English texts: judged outputs and the documents beside them."""
    of_record = (
        text
        for one in found
        if one.get("lang", "en") == "en"
        for text in (one.get("output"), one.get("context"), *(one.get("outputs") or ()))
    )
    different = sorted({text[:chars] for text in of_record if text and len(text) >= 80})
    return random.Random(seed).sample(different, min(n, len(different)))


def _bits(name: str, texts: Sequence[str]) -> Floats:
    """What each text costs, in bits, after the token that begins a text."""
    import torch

    weights = resolve(name).torch()
    tokenizer, model = load_tokenizer(weights), load_as_it_is(weights)
    begin = tokenizer.bos_token_id
    begin = tokenizer.eos_token_id if begin is None else begin
    costs = []
    for text in texts:
        ids = torch.tensor([[begin, *tokenizer(text, add_special_tokens=False).input_ids]])
        with torch.inference_mode():
            logits = model(ids.to(model.device)).logits[0, :-1].float()
        of_token = torch.nn.functional.cross_entropy(
            logits, ids[0, 1:].to(logits.device), reduction="sum"
        )
        costs.append(float(of_token) / math.log(2))
    return np.array(costs)


def _figure(bits: Floats, chars: Floats, rng: np.random.Generator) -> dict[str, Any]:
    a_char = ratio_of(bits, chars, "there are no texts", _LIMITS)
    found: Estimate | Undefined = bootstrap(a_char, np.arange(len(bits)), rng=rng)
    if isinstance(found, Undefined):
        return {"undefined": found.reason, "n": found.n}
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}


def _table(result: dict[str, Any]) -> str:
    def shown(figure: dict[str, Any] | None, form: str = "{:.2f}") -> str:
        if figure is None:
            return ""
        if "value" not in figure:
            return str(figure["undefined"])
        low_high = f"{form} [{form}, {form}]"
        return low_high.format(figure["value"], figure["low"], figure["high"])

    heads = ["texts", "n", *(one["model"] for one in result["models"])]
    everything = ["all", sum(result["sets"].values())]
    rows = [everything + [shown(one["all"]) for one in result["models"]]]
    rows.append(
        ["less the first", "", *(shown(o["less_first"], "{:+.2f}") for o in result["models"])]
    )
    for name, n in result["sets"].items():
        rows.append([name, n, *(shown(one["by_set"][name]) for one in result["models"])])
    return table(heads, rows)


if __name__ == "__main__":
    main()
