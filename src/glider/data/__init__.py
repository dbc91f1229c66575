"""Users' files into samples and criteria: rows, then columns, and the library of criteria."""
