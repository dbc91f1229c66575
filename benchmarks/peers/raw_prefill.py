"""How many prompt tokens a second an engine reads when it does nothing else.

    python peers/raw_prefill.py --engine embedded --out FILE
    python peers/raw_prefill.py --engine fast --out FILE --folder HF_FOLDER

`embedded`: llama.cpp's own timing of single prompts with nothing cached. `fast`: a plain forward
pass of transformers over random tokens, both attention kernels, logits of the last place only.
The best of several tries counts, and the best length or batch is the limit: what a run reaches is
then never flattered.
"""

import json
import time
from pathlib import Path
from typing import Any

from worker import arguments


def embedded(tries: int) -> dict[str, float]:
    from glider.backends.embedded import EmbeddedBackend

    found: dict[str, float] = {}
    with EmbeddedBackend() as backend:
        for tokens in (256, 512, 1024):
            rates = []
            for attempt in range(tries):
                body: dict[str, Any] = {
                    "prompt": [1000 + (7 * attempt + i * 13) % 40_000 for i in range(tokens)],
                    "n_predict": 1,
                    "cache_prompt": False,
                }
                answer = backend._engine.handle_completions(body)
                rates.append(answer["timings"]["prompt_per_second"])
            found[f"1 x {tokens}"] = max(rates)
    return found


def fast(tries: int, folder: Path) -> dict[str, float]:
    import torch
    from transformers import AutoModelForCausalLM

    found: dict[str, float] = {}
    for dtype in ("bfloat16", "float32"):
        for attention in ("sdpa", "eager"):
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=getattr(torch, dtype), attn_implementation=attention
            ).eval()
            for batch, tokens in ((1, 256), (1, 512), (4, 256)):
                ids = torch.randint(5, 40_000, (batch, tokens))
                best = 0.0
                with torch.inference_mode():
                    for _ in range(tries):
                        started = time.perf_counter()
                        model(ids, logits_to_keep=1, use_cache=False)
                        best = max(best, batch * tokens / (time.perf_counter() - started))
                found[f"{dtype} {attention} {batch} x {tokens}"] = best
    return found


def main() -> None:
    made = arguments(__doc__)
    made.add_argument("--engine", choices=("embedded", "fast"), required=True)
    made.add_argument("--folder", type=Path)
    made.add_argument("--tries", type=int, default=3)
    args = made.parse_args()
    found = embedded(args.tries) if args.engine == "embedded" else fast(args.tries, args.folder)
    args.out.write_text(json.dumps({"tokens_per_second": found, "limit": max(found.values())}))


if __name__ == "__main__":
    main()
