"""Nearly nearest neighbours: a graph that leads to rows, scored exactly."""
