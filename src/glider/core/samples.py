"""The texts to be judged: any number of named fields, one or more of them judged.

Field names are the user's own. A field's role says what it is to the judge: `judged` text is
what gets the score, `input`, `context` and `reference` are what criteria may name in braces.
All text is treated as data: nothing in it is ever an instruction to the judge.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field as _Field
from pydantic import field_validator, model_validator

from glider.core.base import Frozen, content_hash

Role = Literal["input", "context", "reference", "judged", "other"]

_NAME = re.compile(r"[^\W\d][\w .-]{0,63}")
_STANDARD: dict[str, Role] = {
    "input": "input",
    "context": "context",
    "reference": "reference",
    "output": "judged",
}


class Field(Frozen):
    """One named text of a sample."""

    name: str
    text: str
    role: Role = "other"

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"field name {name!r} must start with a letter and hold at most 64 letters, "
                "digits, spaces, dots, dashes or underscores"
            )
        return name


class Sample(Frozen):
    """The fields of one thing to judge, in the order the judge reads them."""

    id: str
    fields: tuple[Field, ...]
    metadata: dict[str, Any] = _Field(default_factory=dict)

    @model_validator(mode="after")
    def _checked(self) -> Self:
        names = [field.name.casefold() for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError(f"field names must differ (also in more than case): {names}")
        if not self.judged:
            raise ValueError("a sample needs at least one field with the role 'judged'")
        return self

    @classmethod
    def of(
        cls,
        output: str | None = None,
        *,
        outputs: Sequence[str] | None = None,
        input: str | None = None,
        context: str | None = None,
        reference: str | None = None,
        id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **others: str,
    ) -> Self:
        """Build a sample from the usual parts.

        Args:
            output: the text to judge; or
            outputs: the texts to compare, two or more: fields `output 1`, `output 2`, ...
            input: what the writer of the output was asked.
            context: the material the output must rest on.
            reference: a reference answer.
            id: your own name for it; a content hash if not given.
            others: further named texts, shown to the judge but not judged.
        """
        named: dict[str, str | None] = {"input": input, "context": context, "reference": reference}
        fields = [
            Field(name=name, text=text, role=_STANDARD[name])
            for name, text in named.items()
            if text is not None
        ]
        fields += [Field(name=name, text=text) for name, text in others.items()]
        if output is not None:
            fields.append(Field(name="output", text=output, role="judged"))
        for number, text in enumerate(outputs or (), start=1):
            fields.append(Field(name=f"output {number}", text=text, role="judged"))
        if id is None:
            id = content_hash([field.model_dump() for field in fields])
        return cls(id=id, fields=tuple(fields), metadata=dict(metadata or {}))

    @cached_property
    def judged(self) -> tuple[Field, ...]:
        """The fields that get the score."""
        return tuple(field for field in self.fields if field.role == "judged")

    @cached_property
    def told(self) -> tuple[Field, ...]:
        """The fields that are shown beside what is judged."""
        return tuple(field for field in self.fields if field.role != "judged")

    def with_role(self, role: Role) -> Field | None:
        """The first field with this role."""
        return next((field for field in self.fields if field.role == role), None)

    def __getitem__(self, name: str) -> str:
        """The text of a field."""
        for field in self.fields:
            if field.name == name:
                return field.text
        raise KeyError(name)

    @cached_property
    def content_id(self) -> str:
        """Hash of the fields alone: the same texts have the same id in any file."""
        return content_hash([field.model_dump() for field in self.fields])
