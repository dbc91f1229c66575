"""Judge whole files into run folders."""
