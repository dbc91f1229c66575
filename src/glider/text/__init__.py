"""Text functions: make judged text harmless in a prompt, and locate quoted phrases in it."""
