"""Labelled sets: texts with human judgments, to measure and train judges."""
