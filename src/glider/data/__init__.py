"""Read users' files into samples and criteria: rows, columns, and the criteria library."""
