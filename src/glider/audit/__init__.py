"""Audit a judge: probes of bias, stability and prompt injection."""
