"""Measure how well a judge agrees with people: benchmarks, baselines, tables."""
