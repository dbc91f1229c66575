"""Parts of every HTML page: base template, stylesheet, charts, highlights."""
