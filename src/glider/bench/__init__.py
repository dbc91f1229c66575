"""Measure a judge against people: benchmarks, baselines, tables."""
