"""Choose training examples by a model's losses on them."""
