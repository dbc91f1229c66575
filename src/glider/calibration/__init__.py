"""How far to trust a judge's scores: calibration map, threshold and true rate from human labels."""
