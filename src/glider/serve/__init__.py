"""A judge over HTTP: a guardrail with a deadline, and the common judge APIs, with reasons."""
