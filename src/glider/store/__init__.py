"""Runs on disk: a manifest, an append-only journal, a summary. It asks no model."""
