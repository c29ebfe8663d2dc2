"""Training: algorithms behind the run protocol, usable on their own.

``python -m reconciler.training <run directory>`` carries out a run.
"""
