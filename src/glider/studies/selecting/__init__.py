"""Which examples to train on, by what a model loses on them."""
