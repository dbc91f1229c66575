"""Self-Rationalization: train a judge on pairs of its own right and wrong answers."""
