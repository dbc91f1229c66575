"""From human labels to a judge of one's own: examples, stages, export."""
