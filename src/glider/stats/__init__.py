"""Numbers with their uncertainty, their count and their method. No project types but Estimate."""
