"""Self-Rationalization: a judge learns from its own right and wrong answers."""
