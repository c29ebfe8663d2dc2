"""A declarative reconciler for self-improving models."""

__version__ = "0.1.0"
