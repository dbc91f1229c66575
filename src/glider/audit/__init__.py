"""What sways this judge that should not: probes of bias, stability and attack."""
