"""Who takes part. One more contestant or variant is one more module and one more entry here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A contestant.

    Args:
        key: its name on the command line and in the results.
        title: its name in tables.
        module: in ``benchmarks.contestants``.
        requirements: file in ``requirements/`` that its environment is built from; "" for this project's own.
    """

    key: str
    title: str
    module: str
    requirements: str = ""


OURS = "knit-provider"
SKEIN = "skein"
FLOOR = "floor"
# The same through the gateway JVM, which a cluster may ask for.
JVM = "knit-provider-jvm"
# What is held against the same expectations as ours, if it takes part: the variant with a client archive and AppCDS.
ARCHIVE = "knit-provider-archive"

ENTRIES = (
    Entry(OURS, "knit-provider", "knit_provider"),
    Entry(JVM, "knit-provider, bridge=jvm", "knit_provider_jvm"),
    Entry(ARCHIVE, "knit-provider, bridge=jvm, am_classes=shipped", "knit_provider_archive"),
    Entry(SKEIN, "Skein 0.8.2", "skein", "skein.txt"),
    Entry("knit-0.2.4", "Knit 0.2.4", "knit_0_2_4", "knit_0_2_4.txt"),
    Entry(FLOOR, "floor (bare command by REST)", "rest_floor"),
)
