"""The contract of a model: its signature, its feature step, and how rows are held against them."""
