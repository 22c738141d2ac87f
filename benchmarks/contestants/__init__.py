"""One module for each contestant; each runs in a process of its own, with the Python of its own environment."""
