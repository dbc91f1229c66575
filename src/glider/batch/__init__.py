"""Whole files through a judge into a run folder."""
