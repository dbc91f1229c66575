"""The shapes that callers speak: a body into tasks, outcomes into a body; no I/O."""
