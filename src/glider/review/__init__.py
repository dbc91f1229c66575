"""People look: a local page to verify a judge or made data, or to label; and the figures of it."""
