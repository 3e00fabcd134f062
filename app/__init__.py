"""Patchsift: the review desk between a coding agent's logs and the models that learn from them."""

__version__ = "0.1.0"
