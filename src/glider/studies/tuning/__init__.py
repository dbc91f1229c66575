"""Tune a judge on own labels, with a cross-validated gain before anything is kept."""
