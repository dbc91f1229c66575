"""What a person writes first: a transformers `generate` call a text, and a regex for the score.

    python peers/plain_loop.py --tasks FILE --out FILE --folder HF_FOLDER --dtype bfloat16

The same weights, our nano prompt with its opening, greedy, one text at a time. Run in an
environment that has torch.
"""

import re
from pathlib import Path

from worker import Meter, arguments, read_tasks


def main() -> None:
    made = arguments(__doc__)
    made.add_argument("--folder", type=Path, required=True)
    made.add_argument("--dtype", default="bfloat16")
    args = made.parse_args()
    tasks = read_tasks(args.tasks)

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    model = AutoModelForCausalLM.from_pretrained(args.folder, dtype=getattr(torch, args.dtype))
    model.eval()
    scores: list[float | None] = []
    meter = Meter()
    with torch.inference_mode():
        for task in tasks:
            text = tokenizer.apply_chat_template(
                task["messages"], tokenize=False, add_generation_prompt=True
            )
            prompt = tokenizer(
                text + task["opening"], add_special_tokens=False, return_tensors="pt"
            )
            written = model.generate(
                **prompt, max_new_tokens=args.max_tokens or 150, do_sample=False
            )
            new = written[0, prompt["input_ids"].shape[1] :]
            answer = task["opening"] + tokenizer.decode(new, skip_special_tokens=True)
            found = re.search(r"Score:\s*(\d+)", answer)
            legal = found is not None and found[1] in task["levels"]
            scores.append(float(found[1]) if found and legal else None)
    meter.done(args.out, scores, "transformers", dtype=args.dtype)


if __name__ == "__main__":
    main()
