"""Nearly nearest neighbours: a graph that leads to rows, scored exactly."""

from importlib.util import find_spec


def is_installed() -> bool:
    """Whether graphs can be made and read here."""
    return find_spec("usearch") is not None
