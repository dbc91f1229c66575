"""Strings only: making judged text harmless inside a prompt, and finding quoted phrases in it."""
