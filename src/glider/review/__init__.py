"""Human review: a local page to verify a judge or made data, or to label; and its statistics."""
