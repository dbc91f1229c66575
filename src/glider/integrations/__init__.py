"""Adapters: a judge inside other tools. Importing an adapter imports its host; this does not."""
