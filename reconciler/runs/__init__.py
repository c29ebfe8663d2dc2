"""Long work in a durable directory: protocol, supervisor, worker."""
