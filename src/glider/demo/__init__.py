"""Thirty short texts: fifteen with one planted fault each, and the same fifteen without it.

`texts.jsonl` has a text on each line, with what is wrong with it (`fault`) or null, and the id of
its twin. `samples.jsonl` are thirty other texts, which `glider audit --demo` uses.
"""
