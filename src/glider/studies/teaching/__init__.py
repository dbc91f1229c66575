"""Reasons by a teacher: a model explains people's scores; what does not hold is dropped."""
