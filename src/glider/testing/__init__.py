"""Test doubles, public so that users can test against a bad day of an endpoint.

Nothing here judges, and nothing here is imported by the rest of the package: these are tools
for tests and for measurements of clients.
"""
