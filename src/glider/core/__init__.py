"""Core types: samples, criteria, tasks, judgments, errors. No I/O, no engine."""
