"""What every HTML page is made of: frame, stylesheet, charts, marks."""
