"""``knit doctor``: what works from here and what does not; one module for each kind of thing that is looked at."""

from knit_provider.cli.doctor.command import doctor

__all__ = ["doctor"]
