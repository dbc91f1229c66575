"""FLAMe's tail-patch: the effect of extra training on one set on all other sets."""
