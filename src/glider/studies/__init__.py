"""Trainings that answer a question: tune, tail-patch, selection, self-rationalization."""
