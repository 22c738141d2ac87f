"""Programs for developing knit-provider: what `make demo`, `make ui` and the tests share. Not part of the package."""
