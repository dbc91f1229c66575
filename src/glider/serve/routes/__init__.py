"""Handlers: `judging` in our own shapes, `foreign` in those of other tools, `stream`, `state`."""
