"""Chaos: a world of its own in which workers are killed at random moments, and an audit of what is left."""
