"""FLAMe's tail-patch: the effect of a little more of one set on all the others."""
