"""People look: a local page on which a judge, made data or texts are verified, and the figures of it."""
