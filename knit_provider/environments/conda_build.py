"""Solves for conda packages and links them into a folder, with py-rattler: no conda, no installer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from knit_provider.environments import deadlines
from knit_provider.environments.bytecode import compile_all, is_cached_bytecode
from knit_provider.environments.channels import without_secrets
from knit_provider.environments.optional import CONDA, require
from knit_provider.environments.progress import Progress
from knit_provider.environments.sources import CondaLock, CondaPackages
from knit_provider.environments.store import Store, require_room
from knit_provider.yarn.errors import EnvironmentBuildError

SOLVE_TIMEOUT = 600.0
LINK_TIMEOUT = 3600.0
_UNPACKED = 5
"""Bytes on disk for one byte of a compressed package: unpacked in the cache, linked, and packed again."""
_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)\.(?:conda|tar\.bz2)")


def make_conda_prefix(source: CondaPackages | CondaLock, prefix: Path, store: Store, progress: Progress) -> list[str]:
    """Make a conda environment.

    Args:
        source: what is wanted in it.
        prefix: the folder to make.
        store: where unpacked packages are kept.
        progress: told of solving, linking and compiling.

    Returns:
        Warnings for the user.

    Raises:
        EnvironmentBuildError: no such set of packages, a channel that cannot be reached, no room ...
    """
    rattler = require("rattler", CONDA, "building from conda packages")
    platform = str(rattler.Subdir.current())
    _check_platform(source, platform)
    if isinstance(source, CondaLock):
        records = [_locked(rattler, url, platform) for url in source.urls]
    else:
        records = _solve(rattler, source, platform, store, progress)
    size = sum(record.size or 0 for record in records)
    require_room(store.root, _UNPACKED * size, f"an environment of {len(records)} packages")
    _check_local(records)
    _link(rattler, records, prefix, store, progress)
    (prefix / "conda-meta" / "history").write_bytes(b"")
    if isinstance(source, CondaPackages) and source.pip:
        from knit_provider.environments.uv_build import install

        python = prefix / "bin" / "python"
        if not python.exists():
            raise EnvironmentBuildError("there is a 'pip' list, but no package that brings python")
        install(python, source.pip, source.folder, prefix.parent, progress)
    _compile(prefix, progress)
    return _unrun_scripts(prefix)


def _check_platform(source: CondaPackages | CondaLock, platform: str) -> None:
    wanted = {source.platform} if source.platform else set()
    if isinstance(source, CondaLock):
        wanted |= {urlsplit(url).path.split("/")[-2] for url in source.urls} - {"noarch"}
    if foreign := sorted(wanted - {platform}):
        raise EnvironmentBuildError(
            f"the packages are for {', '.join(foreign)} and this machine is {platform}: an environment is built on a "
            "machine like the cluster's nodes. Build it there, or lock it for this platform"
        )


def _solve(rattler: Any, source: CondaPackages, platform: str, store: Store, progress: Progress) -> list[Any]:
    specs = [_spec(rattler, text) for text in source.packages]
    pinned = [_spec(rattler, text) for text in source.pinned]
    client = _client(rattler)

    async def solve() -> Any:
        gateway = rattler.Gateway(cache_dir=store.repodata, client=client)
        return await rattler.solve(
            [rattler.Channel(url) for url in source.channels],
            specs,
            gateway=gateway,
            platforms=[platform, "noarch"],
            virtual_packages=rattler.VirtualPackage.detect(),
            timeout=timedelta(seconds=SOLVE_TIMEOUT),
            constraints=pinned,
        )

    exceptions = require("rattler.exceptions", CONDA, "building from conda packages")
    with progress.stage("solve"):
        try:
            records = deadlines.run(solve, SOLVE_TIMEOUT + 60, "solving for the packages")
        except exceptions.SolverError as error:
            raise EnvironmentBuildError(_no_solution(source, error)) from error
        except EnvironmentBuildError:
            raise
        except Exception as error:  # its errors have no common base
            raise EnvironmentBuildError(_unreachable(source.channels, error)) from error
    return sorted(records, key=lambda record: str(record.name.normalized))


def _check_local(records: Sequence[Any]) -> None:
    """Compare packages in folders with their digests, as the linker does only with what it downloads."""
    for record in records:
        parts = urlsplit(record.url)
        kind = "sha256" if record.sha256 else "md5"
        wanted = getattr(record, kind)
        if parts.scheme != "file" or not wanted:
            continue
        path = Path(unquote(parts.path))
        try:
            digest = hashlib.new(kind, path.read_bytes(), usedforsecurity=False).digest()
        except OSError as error:
            raise EnvironmentBuildError(f"the package {path} cannot be fetched: {error.strerror or error}") from error
        if digest != bytes(wanted):
            raise EnvironmentBuildError(
                f"the package {path} is not the one that was indexed or locked: its {kind} is {digest.hex()}, not "
                f"{bytes(wanted).hex()}. Copy it anew, or index the channel again"
            )


def _link(rattler: Any, records: Sequence[Any], prefix: Path, store: Store, progress: Progress) -> None:
    install = require("rattler.install", CONDA, "building from conda packages")
    with progress.stage("link", len(records), unit="packages") as stage:

        class Told(install.InstallerReporter):  # type: ignore[misc,name-defined]
            def on_link_complete(self, index: int) -> None:
                stage.advance(1)

        async def link() -> None:
            await rattler.install(
                list(records),
                prefix,
                cache_dir=store.packages,
                installed_packages=[],
                client=_client(rattler),
                reporter=Told(),
            )

        try:
            deadlines.run(link, LINK_TIMEOUT, "fetching and linking the packages")
        except EnvironmentBuildError:
            raise
        except Exception as error:
            raise EnvironmentBuildError(
                f"the packages could not be fetched and linked: {_said(error)}. What was fetched already is kept"
            ) from error


def _client(rattler: Any) -> Any:
    """Asks the logins that ``rattler``, ``pixi`` and ``.netrc`` keep."""
    networking = require("rattler.networking", CONDA, "building from conda packages")
    return networking.Client.default_client()


def _spec(rattler: Any, text: str) -> Any:
    try:
        return rattler.MatchSpec(text, strict=False)
    except Exception as error:
        raise EnvironmentBuildError(
            f"{text!r} is no conda package spec: {_said(error)}. Write it as in 'pandas', 'python=3.11', 'numpy>=2,<3'"
        ) from error


def _locked(rattler: Any, url: str, platform: str) -> Any:
    """The record of a package of which only the URL is known."""
    address, _, digest = url.partition("#")
    found = _FILE.fullmatch(unquote(urlsplit(address).path.rsplit("/", 1)[-1]))
    if found is None:
        raise EnvironmentBuildError(f"{without_secrets(url)} is no URL of a conda package (NAME-VERSION-BUILD.conda)")
    subdir = urlsplit(address).path.split("/")[-2]
    sha256 = digest.removeprefix("sha256:") if len(digest.removeprefix("sha256:")) == 64 else None
    md5 = digest.removeprefix("md5:") if len(digest.removeprefix("md5:")) == 32 else None
    number = found["build"].rpartition("_")[2]
    record = rattler.PackageRecord(
        name=found["name"],
        version=found["version"],
        build=rattler.BuildString(found["build"]),
        build_number=int(number) if number.isdigit() else 0,
        subdir=subdir or platform,
        arch=None,
        platform=None,
        md5=bytes.fromhex(md5) if md5 else None,
        sha256=bytes.fromhex(sha256) if sha256 else None,
    )
    base = address.rsplit("/", 2)[0]
    return rattler.RepoDataRecord(record, file_name=address.rsplit("/", 1)[-1], url=address, channel=base)


def _compile(prefix: Path, progress: Progress) -> None:
    """Compile what the packages brought no bytecode for.

    What the linker compiled is compiled again: its bytecode holds this folder's name.
    """
    shipped: set[str] = set()
    linked: set[str] = set()
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text())
        for entry in record["paths_data"]["paths"]:
            name = entry["_path"]
            if is_cached_bytecode(name):
                (linked if entry.get("path_type") == "pyc_file" else shipped).add(name)
    for name in linked:
        (prefix / name).unlink(missing_ok=True)
    python = prefix / "bin" / "python"
    libraries = sorted(path for path in prefix.glob("lib/python3*") if path.is_dir() and not path.is_symlink())
    if not python.exists() or len(libraries) != 1:
        return
    sources = (str(path.relative_to(prefix)) for path in libraries[0].rglob("*.py"))
    compile_all(prefix, python, [name for name in sources if not _has_bytecode(name, shipped)], progress)


def _has_bytecode(source: str, shipped: set[str]) -> bool:
    folder, _, name = source.rpartition("/")
    start = f"{folder}/__pycache__/{name.removesuffix('.py')}."
    version = source.split("/")[1].removeprefix("python").replace(".", "")
    return f"{start}cpython-{version}.pyc" in shipped


def _unrun_scripts(prefix: Path) -> list[str]:
    names = sorted(path.name for path in (prefix / "bin").glob(".*-post-link.sh"))
    if not names:
        return []
    return [
        "these packages come with a script to be run after linking, which was not run, since it may do anything: "
        + ", ".join(name[1:].removesuffix("-post-link.sh") for name in names)
    ]


def _no_solution(source: CondaPackages, error: Exception) -> str:
    reason = "\n".join(f"  {line}" for line in _said(error).splitlines() if line.strip())
    channels = ", ".join(without_secrets(url) for url in source.channels)
    return f"there is no set of packages that fits {', '.join(source.packages)} in {channels}:\n{reason}"


def _unreachable(channels: Sequence[str], error: Exception) -> str:
    shown = ", ".join(without_secrets(url) for url in channels)
    return (
        f"the channels {shown} could not be read: {_said(error)}. Check address and login; without internet, a mirror "
        "or a folder serves as a channel (channels=['file:///path'])"
    )


def _said(error: Exception) -> str:
    """An error's words, without passwords in its URLs."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    text = re.sub(r"\s*\nCaused by: ", ": ", text)
    return re.sub(r"[a-z][a-z0-9+.-]*://[^\s'\")]+", lambda found: without_secrets(found.group()), text)
