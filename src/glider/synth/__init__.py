"""Training data for judges: draw a label, have a teacher write the text, verify it blind."""
