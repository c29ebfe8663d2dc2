"""Lets test processes find `reconciler.scripted`, work made for tests."""

from pathlib import Path

import reconciler

reconciler.__path__.append(str(Path(__file__).parent))
