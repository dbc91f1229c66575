"""A person's own labels to an adapter, cross-validated before anybody is offered it."""
