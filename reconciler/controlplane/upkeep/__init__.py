"""Looking after a state directory: check, compact, backup, restore."""
