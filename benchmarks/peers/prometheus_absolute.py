"""prometheus-eval's absolute grading over its asynchronous LiteLLM client.

Best form found: AsyncLiteLLM with its own limit of 100 requests a minute raised out of the way and
the batch as large as the concurrency asked for. It passes no sampling settings on, so an answer's
length is the server's to limit, and asks again up to five times where it finds no score.

Its scale is 1 to 5: a level 0 is left out of the rubric.
"""

import contextlib
import io

from worker import Meter, arguments, given, read_tasks


def main() -> None:
    args = arguments(__doc__).parse_args()
    tasks = read_tasks(args.tasks)

    import litellm
    from prometheus_eval import PrometheusEval
    from prometheus_eval.litellm import AsyncLiteLLM
    from prometheus_eval.prompts import ABSOLUTE_PROMPT, ABSOLUTE_PROMPT_WO_REF

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    model = AsyncLiteLLM(
        "openai/m",
        batch_size=args.concurrency,
        requests_per_minute=1_000_000_000,
        api_base=args.base_url,
    )
    referenced = "reference" in tasks[0]
    judge = PrometheusEval(
        model=model,
        absolute_grade_template=ABSOLUTE_PROMPT if referenced else ABSOLUTE_PROMPT_WO_REF,
    )
    meter = Meter()
    # It draws several progress bars, and prints every error and every retry.
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        _, scores = judge.absolute_grade(
            instructions=[given(task) or task["name"] for task in tasks],
            responses=[task["output"] for task in tasks],
            rubric=[_rubric(task) for task in tasks],
            reference_answers=[task.get("reference", "") for task in tasks],
        )
    errors = said.getvalue().count("Error during LiteLLM API call")
    meter.done(args.out, scores, "prometheus-eval", errors=errors)


def _rubric(task: dict) -> str:
    levels = (f"Score {s}: {text}" for s, text in task["levels"].items() if 1 <= int(s) <= 5)
    return f"[{task['question']}]\n" + "\n".join(levels)


if __name__ == "__main__":
    main()
