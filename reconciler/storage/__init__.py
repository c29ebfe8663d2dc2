"""Immutable model generations on disk, and the pointer to the current."""
