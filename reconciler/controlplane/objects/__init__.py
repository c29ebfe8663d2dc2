"""Rules for objects: names, metadata, selectors, tables. No I/O."""
