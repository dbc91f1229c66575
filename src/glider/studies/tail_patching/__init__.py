"""FLAMe's tail-patch: what a little more of one set does to all the others."""
