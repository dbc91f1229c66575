"""Labelled sets and own files to examples: prompts as served, with their answers."""
