"""distilabel: a text and three readings of it, one TextGeneration step each.

    python peers/synth_distilabel.py --rows FILE --folder FOLDER --base-url URL [--resume]

Each step runs in a process of its own and sends the rows of a batch at the same time, so each of
the four has up to --concurrency connections, more together than the other subjects have; smaller
batches are slower. The cache in the folder is what a second run goes on from.
"""

import argparse
import json
from pathlib import Path

from distilabel.models.llms import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--rows", type=Path, required=True)
    made.add_argument("--folder", type=Path, required=True)
    made.add_argument("--base-url", required=True)
    made.add_argument("--concurrency", type=int, default=64)
    made.add_argument("--resume", action="store_true", help="its cache is used in any case")
    made.add_argument("--fresh", action="store_true", help="without what the cache has")
    args = made.parse_args()
    with args.rows.open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    batch = args.concurrency
    with Pipeline(name="made", cache_dir=args.folder) as pipeline:
        last = LoadDataFromDicts(data=rows, batch_size=batch)
        for name in ("text", "blind", "right", "wrong"):
            template = "{{ ask }}" if name == "text" else "{{ ask }}\n\n{{ text }}"
            step = TextGeneration(
                name=name,
                llm=OpenAILLM(
                    model="t",
                    base_url=args.base_url,
                    api_key="none",
                    generation_kwargs={"max_new_tokens": 900, "temperature": 0.9, "top_p": 0.95},
                ),
                template=template.replace("ask", f"ask_{name}"),
                columns=[f"ask_{name}"] + (["text"] if name != "text" else []),
                output_mappings={"generation": name, "model_name": f"{name}_model"},
                input_batch_size=batch,
                add_raw_input=False,
                add_raw_output=False,
            )
            last >> step
            last = step
    result = pipeline.run(use_cache=not args.fresh)
    data = result["default"]["train"].to_pandas()
    numbers = data.dropna(subset=["text", "blind", "right", "wrong"])["number"]
    print(json.dumps({"records": int(numbers.nunique())}))


if __name__ == "__main__":
    main()
