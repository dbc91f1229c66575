"""The faults that are written down in `texts.jsonl`."""

import json
from importlib.resources import files

from glider.report.planted import PlantedFault

FILE = "texts.jsonl"


def planted_faults() -> list[PlantedFault]:
    """Every fault of the demo's texts."""
    lines = files("glider.demo").joinpath(FILE).read_text("utf-8").splitlines()
    texts = [json.loads(line) for line in lines]
    return [
        PlantedFault(sample=text["id"], twin=text["twin"], **text["fault"])
        for text in texts
        if text["fault"]
    ]
