"""Where a user's applications keep their files, and how private those folders have to be.

::

    <home>/.knitDeps/cache/<sha256>/<name>        uploads by content, never changed; .last-use beside them when found
    <home>/.knitDeps/envs/<sha256>/<name>         packed environments by content, never changed
    <home>/.knitDeps/apps/<rm>/<application>/     one application's own files, gone when it has ended; what a second
                                                  submission of the same id adds is below, in <submission>/
    <home>/.knitDeps/ledger/<rm>/<application>    that the application started, and how it ended; or the latter in
                                                  <application>.end beside it, where its ApplicationMaster was killed

``<rm>`` names the ResourceManager: two clusters on one filesystem leave each other's applications alone.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from knit_provider.yarn.errors import ConfigurationError, PermissionDenied
from knit_provider.yarn.files.port import Files, FileStatus

_log = logging.getLogger(__name__)

FOLDER = ".knitDeps"
ENVIRONMENTS = "envs"
CONTROL_FILE = "control.json"
SPEC_FILE = "spec.json"
LEASE_FILE = "lease"
LIFETIME_FILE = "lifetime"
"""There as long as YARN has not been told of the lifetime, which the ApplicationMaster then sees to itself."""

_APPLICATION = re.compile(r"application_\d+_\d+", re.ASCII)
_SUBMISSION = re.compile(r"[0-9a-f]{32}", re.ASCII)
_MANY = 100_000
_OTHERS_MAY_WRITE = 0o022
_OTHERS_MAY_ANYTHING = 0o077


def is_application_id(text: str) -> bool:
    """Whether ``text`` looks like an application id of YARN's."""
    return _APPLICATION.fullmatch(text) is not None


@dataclass(frozen=True)
class Paths:
    """The folders of one user on one cluster.

    Attributes:
        base: full URI of ``.knitDeps``.
        rm: the ResourceManager's name in paths.
    """

    base: str
    rm: str

    @classmethod
    def of(cls, files: Files, rm_identity: str, folder: str | None = None) -> Paths:
        """Find the folders.

        Args:
            files: the filesystem, asked for the user's home only where ``folder`` does not say it all.
            rm_identity: what tells this ResourceManager from every other; characters that are none of
                ``A-Za-z0-9._-`` become ``_``.
            folder: the folder that holds ``.knitDeps``, a full URI, an absolute path or one relative to the user's
                home. Default: the home itself.

        Raises:
            ConfigurationError: there is no identity.
        """
        rm = re.sub(r"[^A-Za-z0-9._-]", "_", rm_identity)
        if not rm.strip("._-"):
            raise ConfigurationError(f"the ResourceManager's identity is {rm_identity!r}, which names none")
        return cls(base=f"{_absolute(files, folder)}/{FOLDER}", rm=rm)

    @property
    def cache(self) -> str:
        """Folder of the uploads, by digest."""
        return f"{self.base}/cache"

    @property
    def envs(self) -> str:
        """Folder of the packed environments, by digest."""
        return f"{self.base}/{ENVIRONMENTS}"

    @property
    def apps(self) -> str:
        """Folder of the staging folders of this cluster's applications."""
        return f"{self.base}/apps/{self.rm}"

    def staging(self, app_id: str) -> str:
        """The application's own folder."""
        return f"{self.apps}/{_checked(app_id)}"

    def ledger(self, app_id: str) -> str:
        """The application's ledger entry."""
        return f"{self.base}/ledger/{self.rm}/{_checked(app_id)}"


def _checked(app_id: str) -> str:
    if not is_application_id(app_id):
        raise ConfigurationError(f"{app_id!r} is no application id; ids look like application_1700000000000_0001")
    return app_id


def _absolute(files: Files, folder: str | None) -> str:
    if folder is None:
        return files.uri_home().rstrip("/")
    if urlsplit(folder).scheme:
        return folder.rstrip("/")
    home = files.uri_home().rstrip("/")
    if not folder.startswith("/"):
        return f"{home}/{folder.strip('/')}"
    parts = urlsplit(home)
    return f"{parts.scheme}://{parts.netloc}{folder.rstrip('/')}"


@dataclass(frozen=True)
class Base:
    """A checked ``.knitDeps``.

    Attributes:
        paths: the folders.
        user: whom it belongs to.
        refusal: why no secret may be written below it; empty where that is safe.
    """

    paths: Paths
    user: str
    refusal: str = ""


@dataclass(frozen=True)
class Staged:
    """An application's folder, written.

    Attributes:
        files: status of each file by its name.
        refusal: why the secret files were not written, so that nobody can control the application; else empty.
    """

    files: Mapping[str, FileStatus] = field(default_factory=dict)
    refusal: str = ""


def open_base(files: Files, paths: Paths, user: str) -> Base:
    """Make ``.knitDeps`` if it isn't there, and check that nobody else can write below it.

    Whoever can replace a file there runs code as the user.

    Args:
        files: the filesystem.
        paths: the folders.
        user: who the filesystem takes us for.

    Raises:
        PermissionDenied: it belongs to somebody else, others may write to it, or it cannot be made.
        ConfigurationError: it is no folder.
    """
    found = files.status(paths.base)
    if found is None:
        try:
            files.mkdirs(paths.base, "700")
        except PermissionDenied as error:
            raise PermissionDenied(
                f"{paths.base} cannot be made by {user}: {error}. Let an administrator make {user}'s home folder, or "
                "name another one with hdfs_home="
            ) from error
        found = files.status(paths.base)
        if found is None:
            raise ConfigurationError(f"{paths.base} was made and is not there")
    if not found.is_dir:
        raise ConfigurationError(f"{paths.base} is a file, and a folder is needed there; move it away")
    if found.owner and found.owner != user:
        raise PermissionDenied(
            f"{paths.base} belongs to {found.owner}, not to {user}, so that {found.owner} could change what {user} "
            f"runs; name a folder of {user}'s own with hdfs_home="
        )
    if int(found.permission, 8) & _OTHERS_MAY_WRITE:
        if _keeps_modes(files, paths):
            raise PermissionDenied(
                f"{paths.base} has mode {found.permission}: others may write to it and so change what {user} runs. "
                f"Close it: hdfs dfs -chmod 700 {paths.base}"
            )
        return Base(paths, user, _no_modes(paths))
    return Base(paths, user)


def _keeps_modes(files: Files, paths: Paths) -> bool:
    """Whether a folder made with mode 700 has mode 700: object stores have no modes and show a constant."""
    probe = f"{paths.base}/.probe-{uuid.uuid4().hex}"
    files.mkdirs(probe, "700")
    try:
        found = files.status(probe)
        return found is not None and int(found.permission, 8) & _OTHERS_MAY_ANYTHING == 0
    finally:
        files.delete(probe, recursive=True)


def _no_modes(paths: Paths) -> str:
    return (
        f"{paths.base} lies on a filesystem that keeps no file modes, so that a secret there would be no secret; name "
        "a folder on HDFS with staging="
    )


def write_staging(
    files: Files,
    base: Base,
    app_id: str,
    content: Mapping[str, bytes],
    secret: Mapping[str, bytes] | None = None,
    modified_ms: int | None = None,
    *,
    folder: str | None = None,
) -> Staged:
    """Write an application's own files, private to its user.

    Args:
        files: the filesystem.
        base: from :func:`open_base`.
        app_id: the application.
        content: content by name.
        secret: as ``content``, for files that are written only where nobody else can read them.
        modified_ms: as in :meth:`~knit_provider.yarn.files.port.Files.write_many`.
        folder: where, below the application's own folder; default that folder itself.

    Raises:
        RemoteFileExists: one is there already: this application was staged before.
    """
    folder = folder or base.paths.staging(app_id)
    secrets = {} if base.refusal else dict(secret or {})
    written = files.write_many(folder, {**content, **secrets}, modified_ms=modified_ms)
    refusal = base.refusal if secret else ""
    exposed = [name for name in secrets if int(written[name].permission, 8) & _OTHERS_MAY_ANYTHING]
    for name in exposed:
        files.delete(f"{folder}/{name}")
        del written[name]
        refusal = _no_modes(base.paths)
    if refusal:
        _log.warning("%s can be watched and killed but neither scaled nor bound: %s", app_id, refusal)
    return Staged(written, refusal)


def later_submissions(files: Files, paths: Paths, app_id: str) -> list[str]:
    """The submissions of an id that found files of an earlier one in its folder, by their submission ids.

    Raises:
        RemoteFileNotFound: there is no such folder.
    """
    entries = files.list(paths.staging(app_id), _MANY)
    names = [entry.path.rstrip("/").rpartition("/")[2] for entry in entries if entry.is_dir]
    return [name for name in names if _SUBMISSION.fullmatch(name)]


def remove_staging(files: Files, paths: Paths, app_id: str) -> bool:
    """Remove an application's own folder; False where there was none."""
    return files.delete(paths.staging(app_id), recursive=True)
