"""Labelled sets: texts with human judgments, for evaluating and training judges."""
