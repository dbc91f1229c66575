"""Settings: how the rows of a file are read."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from glider.core.settings import Flag

_DATA = "Data"


@dataclass(frozen=True, kw_only=True)
class RowSettings:
    """Which rows of a file are read, and what their columns mean."""

    maps: Annotated[
        tuple[str, ...], Flag("FIELD=COLUMN, such as output=answer; repeatable.", _DATA, ("--map",))
    ] = ()
    judged: Annotated[
        tuple[str, ...], Flag("Field to judge instead of output; repeatable.", _DATA)
    ] = ()
    preset: Annotated[str | None, Flag("Column names of another tool [guessed].", _DATA)] = None
    encoding: Annotated[str, Flag("Encoding of text files.", _DATA)] = "utf-8"
    limit: Annotated[int | None, Flag("Judge only this many rows.", _DATA, min=1)] = None
    seed: Annotated[
        int | None,
        Flag("Draw the rows of --limit at random with this seed [the first rows].", _DATA),
    ] = None

    def recorded(self) -> dict[str, Any]:
        """The settings that decide what is asked, for the manifest."""
        return dict(json.loads(json.dumps(asdict(self))))
