"""What happens to objects without anybody asking: draining, collection."""
