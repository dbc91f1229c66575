"""The runtime: a Judge asks one model and returns its judgments."""
