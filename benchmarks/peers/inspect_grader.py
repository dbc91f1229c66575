"""Inspect's `model_graded_qa` over outputs that are there already.

Best form found: a solver that hands over the given output without asking a model, static
connections at the concurrency asked for (its adaptive ones start at 20 and end at 100), samples as
many, no display and no realtime log. Its own template asks for C, P or I; template, instructions
and pattern are arguments, so that the rubric's scores can be asked for.
"""

from typing import Any

from worker import Meter, arguments, given, read_tasks

_INSTRUCTIONS = "Give your reasons, then end with GRADE: and one of the scores of the criterion."


def main() -> None:
    args = arguments(__doc__).parse_args()
    tasks = read_tasks(args.tasks)

    from inspect_ai import Task
    from inspect_ai import eval as evaluate
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import GenerateConfig, ModelOutput, get_model
    from inspect_ai.scorer import model_graded_qa
    from inspect_ai.solver import Generate, TaskState, solver

    @solver
    def given_output() -> Any:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            state.output = ModelOutput.from_content("given", state.metadata["judged"])
            return state

        return solve

    model = get_model(
        "openai-api/local/m",
        base_url=args.base_url,
        api_key="none",
        config=GenerateConfig(max_tokens=args.max_tokens),
    )
    samples = [
        Sample(
            input=given(task) or task["name"],
            target=task["question"]
            + "\n"
            + "\n".join(f"{score} = {text}" for score, text in task["levels"].items()),
            id=number,
            metadata={"judged": task["output"]},
        )
        for number, task in enumerate(tasks)
    ]
    graded = model_graded_qa(
        instructions=_INSTRUCTIONS, grade_pattern=r"GRADE:\s*(\d+)", model=model
    )
    meter = Meter()
    (log,) = evaluate(
        Task(dataset=MemoryDataset(samples), solver=given_output(), scorer=graded),
        model=model,
        max_samples=args.concurrency,
        max_connections=args.concurrency,
        display="none",
        log_level="error",
        log_realtime=False,
        ctl_server=False,
        fail_on_error=False,
    )
    scores: list[float | None] = [None] * len(tasks)
    for sample in log.samples or []:
        for score in (sample.scores or {}).values():
            if isinstance(score.value, str) and score.value.isdecimal():
                scores[int(sample.id)] = float(score.value)
    meter.done(args.out, scores, "inspect-ai", status=log.status)


if __name__ == "__main__":
    main()
