"""Texts that people have judged: what a judge is measured against and trained on."""
