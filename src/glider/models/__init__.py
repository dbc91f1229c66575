"""What a model's name means, and what its files hold; no engine runs here."""
