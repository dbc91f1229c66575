"""The shapes that callers speak. Each file turns a body into tasks and outcomes into a body; no I/O."""
