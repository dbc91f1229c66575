"""NeMo DataDesigner: a text and three readings of it, one LLM column each.

    python peers/synth_data_designer.py --rows FILE --folder FOLDER --base-url URL [--resume]

Rows come in as a seed dataset; each column's prompt is a Jinja template over the row. Its
asynchronous engine starts a cell as soon as the columns that it reads are there. `--buffer` is the
number of records that it writes to disk at once (1,000 unless told otherwise).
"""

import argparse
import json
from pathlib import Path

import data_designer.config as dd
import pandas as pd
from data_designer.config.run_config import JinjaRenderingEngine, ResumeMode, RunConfig
from data_designer.interface import DataDesigner


def main() -> None:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--rows", type=Path, required=True)
    made.add_argument("--folder", type=Path, required=True)
    made.add_argument("--base-url", required=True)
    made.add_argument("--concurrency", type=int, default=64)
    made.add_argument("--buffer", type=int, default=1000)
    made.add_argument("--resume", action="store_true")
    args = made.parse_args()
    rows = pd.read_json(args.rows, lines=True)
    provider = dd.ModelProvider(name="fake", endpoint=args.base_url, api_key="none")
    model = dd.ModelConfig(
        alias="teacher",
        model="t",
        provider="fake",
        skip_health_check=True,
        inference_parameters=dd.ChatCompletionInferenceParams(
            temperature=0.9, top_p=0.95, max_tokens=900, max_parallel_requests=args.concurrency
        ),
    )
    builder = dd.DataDesignerConfigBuilder(model_configs=[model])
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=rows))
    for name in ("text", "blind", "right", "wrong"):
        prompt = "{{ ask_text }}" if name == "text" else f"{{{{ ask_{name} }}}}\n\n{{{{ text }}}}"
        builder.add_column(dd.LLMTextColumnConfig(name=name, prompt=prompt, model_alias="teacher"))
    designer = DataDesigner(artifact_path=args.folder, model_providers=[provider])
    designer.set_run_config(
        RunConfig(
            buffer_size=args.buffer,
            otel_metrics_port=None,
            jinja_rendering_engine=JinjaRenderingEngine.NATIVE,
        )
    )
    result = designer.create(
        builder,
        num_records=len(rows),
        dataset_name="made",
        resume=ResumeMode.ALWAYS if args.resume else ResumeMode.NEVER,
    )
    data = result.load_dataset()
    numbers = data.dropna(subset=["text", "blind", "right", "wrong"])["number"]
    print(json.dumps({"records": int(numbers.nunique())}))


if __name__ == "__main__":
    main()
