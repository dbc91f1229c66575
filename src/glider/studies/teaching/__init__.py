"""Have a teacher model explain human scores, and keep the reasons that pass the checks."""
