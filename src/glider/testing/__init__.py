"""Test doubles, public so that users can test against a failing endpoint.

Nothing here judges, and the rest of the package does not import it: these are tools for testing and
benchmarking clients.
"""
