"""The ``knit`` command."""
