"""Tune a judge on the user's labels, and cross-validate the gain before keeping anything."""
