"""Training of the small critics: real text, split by package."""
