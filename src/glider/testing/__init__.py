"""Stand-ins for the world outside, public so that anybody can test a judge against a bad day.

Nothing here judges, and nothing here is imported by the rest of the package: these are tools
for tests and for measurements of clients.
"""
