"""VectorIndex: documents that are searchable, kept up to date."""
