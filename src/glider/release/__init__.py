"""What a training leaves for others: an adapter, a merged model, a GGUF, and its card."""
