"""Prompt formats: how to ask, and how to read answers. Pure functions."""

from typing import Any

from glider.core.plugins import Registry
from glider.formats.base import Format

FORMATS: Registry[type[Format]] = Registry(
    kind="format",
    group="glider.formats",
    builtin={
        "nano": "glider.formats.nano:NanoFormat",
        "glider": "glider.formats.glider:GliderFormat",
        "prometheus": "glider.formats.prometheus:PrometheusFormat",
        "flow-judge": "glider.formats.flow_judge:FlowJudgeFormat",
        "chat-json": "glider.formats.chat_json:ChatJsonFormat",
    },
)


def make_format(name: str, **options: Any) -> Format:
    """Build a format by name; unknown options are an error."""
    return FORMATS.get(name)(**options)
