"""What Prefect's UI shows of the blocks and the worker."""

from __future__ import annotations

LOGO = "https://hadoop.apache.org/elephant.png"
