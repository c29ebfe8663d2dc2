"""Which kinds are served: built-in ones and those of installed CRDs."""
