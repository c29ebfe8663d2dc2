"""Durable, revisioned storage of objects in one SQLite file."""
