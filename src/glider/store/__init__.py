"""Runs on disk: a manifest, an append-only journal, a summary. No model is used here."""
