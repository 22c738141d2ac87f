"""This project with ApplicationMasters that bring Hadoop's client jars and a class archive along."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.knit_provider import KnitProvider
from benchmarks.contestants.protocol import serve


class KnitProviderArchive(KnitProvider):
    """The archive is made and uploaded by the first start, which does not count."""

    def options(self) -> dict[str, Any]:
        return {"am_classes": "shipped", "bridge": "jvm"}


if __name__ == "__main__":
    serve(KnitProviderArchive())
