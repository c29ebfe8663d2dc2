"""What can be wrong with a graph."""


class GraphError(Exception):
    """There is no graph that could be used, and why."""
