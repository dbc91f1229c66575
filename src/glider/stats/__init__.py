"""Statistics with interval, count and method. Knows no project types except Estimate."""
