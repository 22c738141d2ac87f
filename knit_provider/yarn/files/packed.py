"""What the core asks of packed environments on this machine; the package that builds them is loaded only then."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from knit_provider.yarn.files import archives
from knit_provider.yarn.files.local import Digests


def built(reference: str) -> Path:
    """The archive of an environment that is packed now, or was before and has not changed."""
    from knit_provider.environments.build import build, source_of

    return Path(build(source_of(reference)).path)


def digest_of_packed(path: Path, digests: Digests) -> tuple[str, int]:
    """Digest and size of a packed environment, out of what its builder wrote beside it, if he did."""
    from knit_provider.environments.sidecar import read_sidecar

    known = read_sidecar(path)
    return (known.digest, known.size) if known is not None else digests.of(path)


def description(path: Path, digest: str, name: str = "") -> dict[str, Any]:
    """What is written down beside an environment in HDFS."""
    from knit_provider.environments.sidecar import read_sidecar

    known = read_sidecar(path)
    if known is None:
        return {"name": name or archives.stem(path.name), "digest": digest}
    described = asdict(known) | {"digest": digest, "name": name or known.name}
    return {key: described[key] for key in ("name", "digest", "kind", "python", "platform", "packages", "warnings")}
