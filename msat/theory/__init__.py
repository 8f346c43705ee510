"""Theory: one small module a level, a registry by name, and the anneal over scales."""
