"""The runtime: a Judge puts tasks to one model and reports what it answered."""
