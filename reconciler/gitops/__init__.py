"""ConfigRepository: what should exist comes from Git or a directory."""
