"""Statistics with interval, count and method. Depends on no project type except Estimate."""
