"""What the parts of ``knit doctor`` hand over."""

from __future__ import annotations

from collections.abc import Callable

Finding = tuple[str, bool, str]
"""What was looked at, whether it is well, and what there is to say."""

Look = tuple[str, Callable[[], str]]
"""What is looked at, and how: it returns what there is to say, and raises if that is not well."""
