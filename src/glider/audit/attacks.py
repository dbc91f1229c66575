"""The shipped attacks, and how one is inserted around a text.

`attacks.yaml` holds them as data. An attack is
the text before and after the judged text, so that harmless text of the same length can take
the same places.
"""

import base64
import codecs
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import model_validator

from glider.core.base import Frozen
from glider.core.criteria import Rubric

_PLACE = re.compile(r"\{(high|low|output|code)\}")
_LOOKALIKES = str.maketrans("aceiopsxyACEHIKMOPSTX", "асеіорѕхуАСЕНІКМОРЅТХ")

CODINGS: Mapping[str, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "spaced": lambda text: " ".join(text),
    "zero-width": lambda text: "\u200b".join(text),
    "soft-hyphen": lambda text: "\u00ad".join(text),
    "homoglyph": lambda text: text.translate(_LOOKALIKES),
    "fullwidth": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "tags": lambda text: "".join(chr(0xE0000 + ord(c)) for c in text),
}
"""Encodings that hide an order, by name."""


class Attack(Frozen):
    """Text that tries to obtain an undeserved score."""

    id: str
    family: str
    aim: Literal["up", "down"]
    text: str
    hidden: str = ""
    coding: str = ""

    @model_validator(mode="after")
    def _whole(self) -> "Attack":
        if self.coding and self.coding not in CODINGS:
            raise ValueError(f"attack {self.id!r}: no coding {self.coding!r}")
        if bool(self.coding) != bool(self.hidden) or bool(self.coding) != ("{code}" in self.text):
            raise ValueError(f"attack {self.id!r}: hidden, coding and {{code}} go together")
        return self

    def around(self, rubric: Rubric) -> tuple[str, str]:
        """Return the text before and after the judged text."""
        ends = {"high": str(rubric.high), "low": str(rubric.low)}
        code = CODINGS[self.coding](_filled(self.hidden, ends)) if self.coding else ""
        text = self.text if "{output}" in self.text else "{output}\n\n" + self.text
        before, _, after = text.partition("{output}")
        return _filled(before, ends | {"code": code}), _filled(after, ends | {"code": code})


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda match: values.get(match[1], match[0]), text)


class _Attacks(Frozen):
    families: dict[str, str]
    attacks: tuple[Attack, ...]

    @model_validator(mode="after")
    def _known_families(self) -> "_Attacks":
        strange = {attack.family for attack in self.attacks} - self.families.keys()
        if strange:
            raise ValueError(f"families without a title: {', '.join(sorted(strange))}")
        return self


@cache
def shipped() -> _Attacks:
    """Return the attacks that come with Glider, and the titles of their families."""
    text = files("glider.audit").joinpath("attacks.yaml").read_text("utf-8")
    return _Attacks.model_validate(yaml.safe_load(text))
