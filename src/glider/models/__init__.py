"""Model names and model files; no engine runs here."""
