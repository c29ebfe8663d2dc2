"""Models as services: convert, verify, load beside, switch, roll back."""
