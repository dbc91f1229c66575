"""deepeval's GEval through its model class for OpenAI-compatible servers.

Best form found: `evaluation_steps` given, so that a judgment is one call (with `criteria` the
metric first asks the model for steps: two calls); `a_measure` gathered under a semaphore, since
`evaluate()` adds reports to the same calls; OpenAIModel with one HTTP client for all calls, since
LocalModel takes none and makes a new one, and so a new connection, for each.
"""

import asyncio
from typing import Any

from worker import Meter, arguments, given, read_tasks


def main() -> None:
    made = arguments(__doc__)
    made.add_argument("--criteria", action="store_true", help="let it write the steps itself")
    args = made.parse_args()
    tasks = read_tasks(args.tasks)

    import httpx2
    from deepeval.metrics import GEval
    from deepeval.metrics.g_eval import Rubric
    from deepeval.models import OpenAIModel
    from deepeval.test_case import LLMTestCase, SingleTurnParams

    shown = [SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT]
    if "reference" in tasks[0]:
        shown.append(SingleTurnParams.EXPECTED_OUTPUT)

    async def judge_all() -> tuple[list[float | None], list[str]]:
        limits = httpx2.Limits(
            max_connections=args.concurrency, max_keepalive_connections=args.concurrency
        )
        client = httpx2.AsyncClient(limits=limits, timeout=args.timeout, trust_env=False)
        settings = {} if args.max_tokens is None else {"max_tokens": args.max_tokens}
        model = OpenAIModel(
            model="m",
            base_url=args.base_url,
            api_key="none",
            generation_kwargs=settings,
            async_http_client=client,
        )
        gate = asyncio.Semaphore(args.concurrency)
        errors: list[str] = []

        async def judge(task: dict[str, Any]) -> float | None:
            asked: dict[str, Any] = {"evaluation_steps": [task["question"]]}
            if args.criteria:
                asked = {"criteria": task["question"]}
            metric = GEval(
                name=task["name"],
                evaluation_params=shown,
                rubric=[
                    Rubric(score_range=(int(s), int(s)), expected_outcome=text)
                    for s, text in task["levels"].items()
                ],
                model=model,
                **asked,
            )
            case = LLMTestCase(
                input=given(task),
                actual_output=task["output"],
                expected_output=task.get("reference"),
            )
            async with gate:
                try:
                    return float(await metric.a_measure(case, _show_indicator=False))
                except Exception as error:  # noqa: BLE001  # a peer may fail in any way
                    errors.append(type(error).__name__)
                    return None

        async with client:
            return list(await asyncio.gather(*map(judge, tasks))), errors

    meter = Meter()
    scores, errors = asyncio.run(judge_all())
    counts = {name: errors.count(name) for name in sorted(set(errors))}
    meter.done(args.out, scores, "deepeval", failures=counts)


if __name__ == "__main__":
    main()
