"""`reconciler demo`: the whole loop on this machine, on real input."""
