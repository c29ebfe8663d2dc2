"""SOPS files with age keys: https://getsops.io/docs/, opened in memory."""
