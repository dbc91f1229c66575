"""What a judge's scores are worth: from human labels on a sample to maps, threshold, true rate."""
