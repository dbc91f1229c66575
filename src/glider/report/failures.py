"""What each failure code means, and what to do about it."""

from collections.abc import Mapping

REMARKS: Mapping[str, str] = {
    "repaired": "accepted although the answer deviates from the format:",
    "warnings": "to be trusted less:",
    "adjusted": "judged without a setting that the endpoint refuses, or with a changed one:",
}
"""Remark on the judgments that a summary counts under this key."""

FAILURE_HELP: Mapping[str, tuple[str, str, str]] = {
    "missing_field": (
        "Field missing",
        "The criterion uses a field that the sample does not have.",
        "Add the field to the input, or map a column to it.",
    ),
    "task": (
        "Could not be asked",
        "This sample cannot be judged under this criterion.",
        "Compare the sample's fields with those the criterion needs.",
    ),
    "unavailable": (
        "Judge not reachable",
        "The judge's engine could not be reached, or the connection was lost.",
        "Make sure that it is running, then resume the run.",
    ),
    "timeout": (
        "No answer in time",
        "The judge gave no complete answer before the deadline.",
        "Allow more time or send fewer requests at once, then resume the run.",
    ),
    "rate_limited": (
        "Rate limited",
        "The provider refused because of too many requests in a short time.",
        "Send fewer requests at once, then resume the run.",
    ),
    "bad_response": (
        "Garbled response",
        "The endpoint returned something that is not an answer.",
        "Check the address, and any proxy in between, then resume the run.",
    ),
    "refused": (
        "Request refused",
        "The endpoint will never accept this request.",
        "Read its message; change the request's settings or the model.",
    ),
    "access_refused": (
        "No access",
        "The endpoint refuses every request: wrong key, no credit, or no such model.",
        "Check the key, the account and the name of the model, then resume the run.",
    ),
    "cluster_lost": (
        "Cluster lost",
        "The processes of the cluster ended one after the other.",
        "Ray's logs say why, often too little memory for the model; then resume the run.",
    ),
    "engine_died": (
        "Engine ended",
        "The model's engine ended and answers nothing more.",
        "Its log on standard error says why; then resume the run.",
    ),
    "no_answer": (
        "Only reasoning, no answer",
        "The model wrote only its reasoning, which the server returns separately.",
        "Start the server without its reasoning parser, or turn thinking off.",
    ),
    "filtered": (
        "Blocked by a filter",
        "The provider's content filter blocked the answer.",
        "Judge these rows with a local model or another provider.",
    ),
    "prompt_too_long": (
        "Text too long",
        "The texts do not fit the judge's context.",
        "Shorten them, use --truncate, or use a judge with a longer context.",
    ),
    "budget_spent": (
        "Budget spent",
        "The run's cost limit was reached, so this was not asked.",
        "Raise the limit and resume the run.",
    ),
    "backend": (
        "No answer",
        "The judge's engine gave no answer.",
        "Read the message, then resume the run.",
    ),
    "truncated": (
        "Answer cut off",
        "The judge's answer reached its length limit before it was complete.",
        "Raise the limit on the answer's length (max_tokens).",
    ),
    "missing_part": (
        "Answer incomplete",
        "The judge answered, but a required part is missing, such as the score.",
        "Read the raw answer; constrained output (a grammar) avoids this.",
    ),
    "score_outside_rubric": (
        "Score not in the rubric",
        "The judge wrote a score that the rubric does not have.",
        "Read the raw answer; add the missing level, or constrain the output with a grammar.",
    ),
    "unreadable": (
        "Answer not readable",
        "The judge answered, but no judgment could be read from it.",
        "Read the raw answer; the format may not suit the model.",
    ),
    "bad_record": (
        "Row not readable",
        "This row of the input is not a valid sample, so no model was asked.",
        "Correct the row in the input file.",
    ),
    "data": (
        "Input not readable",
        "The input could not be read at this row.",
        "Correct the input file.",
    ),
    "schema_version": (
        "Newer than this Glider",
        "The record was written by a newer Glider than the one that read it.",
        "Update Glider.",
    ),
}
"""Failure code to a title, what happened, and what to do about it."""
NO_HELP = (
    "The judgment could not be made; the message says why.",
    "Read the message, then resume the run.",
)


def failure_title(key: str) -> str:
    """A few plain words for `stage/code`."""
    code = key.partition("/")[2]
    return FAILURE_HELP[code][0] if code in FAILURE_HELP else code.replace("_", " ").capitalize()
