"""Judge on several processes and machines, into one run folder."""
