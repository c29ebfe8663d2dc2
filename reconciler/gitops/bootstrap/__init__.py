"""From nothing to a repository that is followed: what `bootstrap` needs."""
