"""A judge behind HTTP: a guardrail with a deadline, and the field's judge wires with reasons."""
