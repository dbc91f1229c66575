"""Data for judges: a label is drawn, a teacher writes the text, a blind second pass checks it."""
