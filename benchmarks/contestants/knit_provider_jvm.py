"""This project submitting through its gateway JVM, as it does where a cluster takes nothing by REST."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.knit_provider import KnitProvider
from benchmarks.contestants.protocol import serve


class KnitProviderJvm(KnitProvider):
    """The gateway starts with the first call and stays."""

    def options(self) -> dict[str, Any]:
        return {"bridge": "jvm"}


if __name__ == "__main__":
    serve(KnitProviderJvm())
