"""Removing what ended applications left in HDFS: a little at each submission, everything on request.

An ApplicationMaster removes its own folder. One that was killed cannot, and its client may be gone too.
"""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.files.port import Files, FileStatus, RemoteFileNotFound
from knit_provider.yarn.files.use_marks import GRACE, UploadCache
from knit_provider.yarn.submission.ledger import END
from knit_provider.yarn.submission.staging import SPEC_FILE, Paths, is_application_id

_log = logging.getLogger(__name__)

DAY = 24 * 3600.0
SWEEP_LIMIT = 50
CACHE_AGE = 30 * DAY
LEDGER_AGE = 365 * DAY

# An upload that was never finished: nobody needs it once its writer must be gone.
_UNFINISHED_AGE = DAY
_UNFINISHED = ".tmp-"
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MANY = 1_000_000

Ended = Callable[[str], "bool | None"]
"""Tells of an application id whether the ResourceManager says it has ended; None where it doesn't know the id."""


@dataclass(frozen=True)
class Pruned:
    """What :func:`prune` removed.

    Attributes:
        applications: ids whose staging folders are gone.
        cached: digests of the uploads that are gone.
        ledger: ids whose ledger entries are gone.
        kept: live applications that it found.
    """

    applications: tuple[str, ...]
    cached: tuple[str, ...]
    ledger: tuple[str, ...]
    kept: tuple[str, ...]


def sweep(
    files: Files,
    paths: Paths,
    ended: Ended,
    *,
    limit: int = SWEEP_LIMIT,
    now: Callable[[], float] = time.time,
) -> list[str]:
    """Remove the staging folders of applications of this cluster that have ended.

    An application that the ResourceManager doesn't know counts as ended once its folder is a day old. Trouble with one
    folder is logged and leaves it; this is housekeeping, which must not fail a submission.

    Args:
        files: the filesystem.
        paths: the user's folders.
        ended: see :data:`Ended`.
        limit: folders to look at; if there are more, a random choice. Default 50.
        now: the time in seconds since the epoch.

    Returns:
        The ids whose folders were removed.
    """
    try:
        found = [status for status in files.list(paths.apps, 1000) if is_application_id(_name(status))]
    except RemoteFileNotFound:
        return []
    except KnitError as error:
        _log.info("no look for what ended applications left in %s: %s", paths.apps, error)
        return []
    if len(found) > limit:
        # A choice by chance reaches every folder some time, also behind many that stay.
        found = random.sample(found, limit)
    return [_name(status) for status in found if _remove_if_ended(files, status, ended, now())]


def prune(
    files: Files,
    paths: Paths,
    ended: Ended,
    *,
    cache_age: float = CACHE_AGE,
    ledger_age: float = LEDGER_AGE,
    now: Callable[[], float] = time.time,
) -> Pruned:
    """Remove everything that is not needed any more.

    Goes are: the staging of ended applications of this cluster; uploads that no application with a staging folder, on
    any cluster, uses and that no submission has used for ``cache_age``; uploads that were never finished; old ledger
    entries.

    Args:
        files: the filesystem.
        paths: the user's folders.
        ended: see :data:`Ended`.
        cache_age: seconds since a submission last used them that uploads stay. Default 30 days; never less than three
            hours, since a submission may be under way.
        ledger_age: seconds that ledger entries stay. Default 365 days.
        now: the time in seconds since the epoch.

    Raises:
        KnitError: a live application's spec cannot be read, so that it is not known which uploads are in use; nothing
            of the cache has been removed then.
    """
    time_now, began = now(), time.monotonic()
    folders = [status for status in _listed(files, paths.apps) if is_application_id(_name(status))]
    gone = [_name(status) for status in folders if _remove_if_ended(files, status, ended, time_now)]
    kept = [_name(status) for status in folders if _name(status) not in gone]
    # Before the uploads are looked at: whoever submits from now on has marked his less than an hour ago.
    used = used_digests(files, paths)
    cached = []
    uploads, cache_age = UploadCache(files, paths.cache, now), max(cache_age, GRACE)
    for status in _listed(files, paths.cache):
        name = _name(status)
        if not _DIGEST.fullmatch(name) or name in used or _age(status, time_now) <= cache_age:
            continue
        if time.monotonic() - began > GRACE / 3:
            break
        # A folder's own time is when something was put into it; its last use is told by what is in it.
        if (uploads.idle(name) or 0) > cache_age and uploads.remove(name, cache_age):
            cached.append(name)
    for folder in (paths.cache, paths.envs):
        remove_unfinished(files, folder, time_now)
    ledger = []
    for status in _listed(files, f"{paths.base}/ledger/{paths.rm}"):
        name = _name(status).removesuffix(END)
        if is_application_id(name) and name not in kept and _age(status, time_now) > ledger_age:
            files.delete(status.path)
            ledger.append(name)
    return Pruned(tuple(gone), tuple(cached), tuple(dict.fromkeys(ledger)), tuple(kept))


def _remove_if_ended(files: Files, status: FileStatus, ended: Ended, time_now: float) -> bool:
    app_id = _name(status)
    try:
        known = ended(app_id)
        if known is False or (known is None and _age(status, time_now) <= DAY):
            return False
        files.delete(status.path, recursive=True)
    except KnitError as error:
        _log.info("%s stays: %s", status.path, error)
        return False
    _log.debug("removed %s, whose application %s", status.path, "has ended" if known else "nobody knows")
    return True


def remove_unfinished(files: Files, folder: str, time_now: float, limit: int = _MANY) -> None:
    """Remove uploads that were never finished, once whoever began them must be gone: after a day."""
    try:
        found = files.list(folder, limit)
    except RemoteFileNotFound:
        return
    for status in found:
        if _name(status).startswith(_UNFINISHED) and _age(status, time_now) > _UNFINISHED_AGE:
            files.delete(status.path, recursive=True)


def used_digests(files: Files, paths: Paths) -> set[str]:
    """The digests that the specs in all staging folders name, those of other clusters' applications too."""
    used: set[str] = set()
    for cluster in _listed(files, f"{paths.base}/apps"):
        for folder in _listed(files, cluster.path):
            later = (status for status in _listed(files, folder.path) if status.is_dir)
            for one in (folder, *later):
                try:
                    content = files.read(f"{one.path}/{SPEC_FILE}", 64 * 1024 * 1024)
                except RemoteFileNotFound:
                    continue  # it ended meanwhile, or is being submitted: then its files are younger than any cache age
                used.update(_digests_in(content))
    return used


def _digests_in(spec: bytes) -> Iterable[str]:
    try:
        document = json.loads(spec)
        uris = [*document.get("am_files", ())]
        for service in document.get("services", ()):
            uris.extend(resource["uri"] for resource in service["local_resources"].values())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise KnitError(
            f"a spec in staging cannot be read ({error!r}), so it is not known which uploads it uses"
        ) from error
    for uri in uris:
        yield from (part for part in str(uri).split("/") if _DIGEST.fullmatch(part))


def _listed(files: Files, folder: str) -> list[FileStatus]:
    try:
        return list(files.list(folder, _MANY))
    except RemoteFileNotFound:
        return []


def _name(status: FileStatus) -> str:
    return status.path.rstrip("/").rpartition("/")[2]


def _age(status: FileStatus, time_now: float) -> float:
    return time_now - status.modified_ms / 1000
