"""Submission: from a spec to an application that the ResourceManager has accepted.

The order makes sure that nothing runs twice and nothing is left behind. The id exists first. Everything is checked and
uploaded before the ResourceManager hears of it. What was staged is removed again if the submission does not come about.
An id that was submitted before is never submitted again: the ResourceManager ignores one that it remembers, and for one
that it has forgotten the ledger says whether it ever started.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from knit_provider.yarn.bridge.base import Acls, LocalResource, LogAggregation, Submission
from knit_provider.yarn.control import ControlCredentials
from knit_provider.yarn.errors import ConfigurationError, KnitError
from knit_provider.yarn.files.port import FileStatus, RemoteFileExists
from knit_provider.yarn.files.transfer import DIGESTS, Shipped, Transfer
from knit_provider.yarn.rest.shapes import check_app_id
from knit_provider.yarn.submission import am_launch as am
from knit_provider.yarn.submission.am_classes import classes_of
from knit_provider.yarn.submission.am_document import am_document
from knit_provider.yarn.submission.handing_over import hand_over, is_only, submitted_before, undo
from knit_provider.yarn.submission.housekeeping import sweep_in_background
from knit_provider.yarn.submission.lifetime import set_lifetime_when_running
from knit_provider.yarn.submission.preflight import check_staging, preflight
from knit_provider.yarn.submission.scripts import RUN_SCRIPT, master_script, script_name, service_script
from knit_provider.yarn.submission.secrets import AppSecrets, check_shared, new_secrets
from knit_provider.yarn.submission.staging import (
    CONTROL_FILE,
    LIFETIME_FILE,
    SPEC_FILE,
    Base,
    open_base,
    remove_staging,
    write_staging,
)
from knit_provider.yarn.submission.token_life import (
    FETCHER,
    KEYTAB,
    TOKENS_SCRIPT,
    ShippedKeytab,
    fetcher_files,
    keytab_for,
    with_fetcher,
)

if TYPE_CHECKING:
    from knit_provider.yarn.bridge.base import Collected
    from knit_provider.yarn.connection import Connection
    from knit_provider.yarn.spec import ApplicationSpec


@dataclass(frozen=True)
class Submitted:
    """An accepted application.

    Attributes:
        app_id: YARN application id.
        credentials: what controls it; None where it was submitted before, where another submission of the same id may
            have come first, or where the filesystem keeps no secret.
    """

    app_id: str
    credentials: ControlCredentials | None


def submit(
    connection: Connection,
    spec: ApplicationSpec,
    *,
    app_id: str | None = None,
    checks: bool = True,
    bound: bool = False,
    lang: str = "C.UTF-8",
    lease_seconds: int = 90,
    upload_always: bool = False,
    shared: Mapping[str, bytes] | None = None,
    still_wanted: Callable[[], bool] | None = None,
) -> Submitted:
    """Submit an application and return once the ResourceManager has accepted it.

    Args:
        connection: the cluster, as one user.
        spec: what to run.
        app_id: an id that the caller stored beforehand; one that was submitted already is left as it is.
        checks: refuse what the cluster would refuse before anything is uploaded.
        bound: the application ends when its lease is not renewed.
        lang: language setting of the containers.
        lease_seconds: length of the lease.
        upload_always: upload files even where the cache in HDFS has their content.
        shared: secrets for the containers, by name.
        still_wanted: asked last of all; False gives the submission up.

    Raises:
        ConfigurationError, CheckFailed: nothing was submitted, and nothing is left behind.
        SubmissionRejected: the ResourceManager refused it, or the id has run already.
        KnitError: it was given up; nothing was submitted, and nothing is left behind.
    """
    check_staging(connection, spec)
    scripts = _scripts(spec, lang)
    shared = check_shared(shared)
    jar = am.package_file(am.JAR, connection.jar)
    package = {am.JAR: jar, am.LAUNCHER: am.package_file(am.LAUNCHER)}
    connection.check_login()
    # The JVM starts while the checks ask the ResourceManager.
    connection.prestart()
    if app_id is not None and submitted_before(connection, check_app_id(app_id)):
        return Submitted(app_id, None)
    if checks:
        preflight(connection, spec, tags_of(spec))
    classes = classes_of(connection, jar)
    package.update(classes.files)
    base = open_base(connection.files, connection.paths, connection.user)
    if bound and base.refusal:
        raise ConfigurationError(f"the application cannot be bound: {base.refusal}")
    if shared and base.refusal:
        raise ConfigurationError(f"the application cannot be given secrets: {base.refusal}")
    replication = connection.conf.short("replication_factor")
    with Transfer(connection.files, connection.paths, upload_always=upload_always, replication=replication) as transfer:
        shipped = transfer.ship(spec, package)
    token_filesystems = [connection.paths.base, *spec.file_systems, *_filesystems(shipped)]
    tokens = connection.bridge.collect(token_filesystems) if connection.secure else None
    keytab = keytab_for(connection, spec.lifetime, tokens)
    if keytab is not None and base.refusal:
        raise ConfigurationError(f"the application cannot be given its keytab: {base.refusal}")
    owned_by_caller = app_id is not None
    app_id = app_id or connection.bridge.new_application().application_id
    app_secrets = new_secrets(app_id, spec.lifetime, shared)
    submission_id = secrets.token_hex(16)
    stage = partial(
        _stage,
        connection,
        spec,
        base,
        app_id,
        submission_id,
        shipped,
        app_secrets,
        scripts,
        bound=bound,
        lease_seconds=lease_seconds,
        class_environment=classes.environment,
        package={name: DIGESTS.of(package[name])[0] for name in (am.JAR, am.LAUNCHER)},
        token_filesystems=token_filesystems,
        tokens=tokens,
        keytab=keytab,
    )
    whole = folder = connection.paths.staging(app_id)
    try:
        try:
            submission, staged_secret = stage(whole)
        except RemoteFileExists:
            if not owned_by_caller:
                # Nobody else has the id: the answer to our own request was lost.
                remove_staging(connection.files, connection.paths, app_id)
                submission, staged_secret = stage(whole)
            else:
                folder = ""  # Until we write somewhere else, nothing there is ours to remove.
                if submitted_before(connection, app_id):
                    return Submitted(app_id, None)
                # An earlier try of the same id may be dead, or about to submit: what it promises YARN is left alone.
                folder = f"{whole}/{submission_id}"
                submission, staged_secret = stage(folder)
        if still_wanted is not None and not still_wanted():
            raise KnitError(f"{app_id} was given up before it was submitted")
        hand_over(connection, submission, owned_by_caller)
    except BaseException as e:
        undo(connection, app_id, e, folder)
        raise
    if not connection.bridge.sets_lifetime and spec.lifetime is not None:
        set_lifetime_when_running(connection, app_id, spec.lifetime)
    sweep_in_background(connection)
    ours = staged_secret and (not owned_by_caller or (folder == whole and is_only(connection, app_id)))
    return Submitted(app_id, app_secrets.credentials if ours else None)


def tags_of(spec: ApplicationSpec) -> tuple[str, ...]:
    """The user's tags and one that is the same for the same spec, by which equal applications find each other."""
    digest = hashlib.sha256(json.dumps(spec.to_dict(), sort_keys=True, default=str).encode("utf-8", "replace"))
    return (*spec.tags, f"knit-spec-{digest.hexdigest()[:16]}")


def _scripts(spec: ApplicationSpec, lang: str) -> dict[str, bytes]:
    scripts = {script_name(name): service_script(service, lang) for name, service in spec.services.items()}
    master = master_script(spec.master, lang)
    if master is not None:
        scripts[am.MASTER_SCRIPT] = master
    return scripts


def _stage(
    connection: Connection,
    spec: ApplicationSpec,
    base: Base,
    app_id: str,
    submission_id: str,
    shipped: Shipped,
    app_secrets: AppSecrets,
    scripts: Mapping[str, bytes],
    folder: str,
    *,
    bound: bool,
    lease_seconds: int,
    class_environment: Mapping[str, str],
    package: Mapping[str, str],
    token_filesystems: Sequence[str],
    tokens: Collected | None,
    keytab: ShippedKeytab | None,
) -> tuple[Submission, bool]:
    # The bridge's way: through the gateway, if that submits, several small files take a tenth of WebHDFS's time.
    files, paths = connection.bridge.files, connection.paths
    own_lifetime = None if connection.bridge.sets_lifetime else spec.lifetime
    if own_lifetime is not None:
        # Empty, and so without a block that has to be written.
        scripts = {**scripts, LIFETIME_FILE: b""}
    control = app_secrets.credentials.to_json(app_id)
    whole = paths.staging(app_id)
    private = {CONTROL_FILE: control}
    if keytab is not None:
        private[KEYTAB] = keytab.content
        fetching = {name: with_fetcher(scripts[name], whole) for name in map(script_name, spec.services)}
        scripts = {**scripts, **fetching, TOKENS_SCRIPT: FETCHER}

    # NodeManagers look at the login and not at whom it acts for, and would keep the logs of what runs from it.
    acls = spec.acls if connection.proxy_user is None else spec.acls.with_viewer(connection.caller)

    def document(staged: Mapping[str, LocalResource]) -> bytes:
        described = am_document(
            replace(spec, acls=acls),
            application_id=app_id,
            submission_id=submission_id,
            user=connection.user,
            secure=connection.secure,
            staging_dir=whole,
            ledger_file=paths.ledger(app_id),
            local_resources={
                name: {
                    **shipped.services[name],
                    **fetcher_files(shipped.master, staged),
                    RUN_SCRIPT: staged[script_name(name)],
                }
                for name in spec.services
            },
            am_resources={**shipped.master, **_of_master(staged)},
            bound=bound,
            lease_seconds=lease_seconds,
            lifetime_seconds=own_lifetime,
            hadoop_conf=am.shipped_settings(connection.full_conf),
            keytab=None if keytab is None else keytab.described(token_filesystems),
        )
        return json.dumps(described).encode()

    # The document names the scripts with size and time. With a time that is settled beforehand it is written beside
    # them: HDFS may take half a second to be sure of a file, of several at once as of one.
    stamp = int(time.time() * 1000)
    expected = {
        name: LocalResource(f"{folder}/{name}", len(content), stamp, visibility="APPLICATION")
        for name, content in scripts.items()
    }
    content = {**scripts, SPEC_FILE: document(expected)}
    staged = write_staging(files, base, app_id, content, private, stamp, folder=folder)
    if own_lifetime is not None and folder != whole:
        files.touch(f"{whole}/{LIFETIME_FILE}")
    if staged.refusal and (bound or app_secrets.shared or keytab is not None):
        lacking = "be bound" if bound else "be given secrets" if app_secrets.shared else "be given its keytab"
        raise ConfigurationError(f"the application cannot {lacking}: {staged.refusal}")
    secret = not staged.refusal
    actual = {name: _private(staged.files[name]) for name in scripts}
    written = staged.files[SPEC_FILE]
    if actual != expected:
        # A filesystem that keeps times of its own.
        content[SPEC_FILE] = document(actual)
        written = files.write_many(folder, {SPEC_FILE: content[SPEC_FILE]}, overwrite=True)[SPEC_FILE]
    for_master = {**shipped.master, **_of_master(actual), am.SPEC: _private(written)}
    if keytab is not None:
        for_master[KEYTAB] = _private(staged.files[KEYTAB])
    r = spec.master.resources
    launch = am.am_launch(
        connection.full_conf,
        connection.user,
        (r.memory, r.vcores, r.amounts()),
        for_master,
        digests={**package, am.SPEC: hashlib.sha256(content[SPEC_FILE]).hexdigest()},
        log_level=spec.master.log_level,
        class_environment=class_environment,
    )
    return (
        Submission(
            application_id=app_id,
            name=spec.name,
            queue=spec.queue,
            am=launch,
            priority=spec.priority,
            tags=tags_of(spec),
            max_attempts=spec.max_attempts,
            attempt_failures_validity_ms=(
                None if spec.attempt_failures_validity is None else spec.attempt_failures_validity * 1000
            ),
            lifetime_seconds=spec.lifetime,
            node_label=spec.node_label or None,
            acls=Acls(**acls.to_yarn()),
            reservation_id=spec.reservation_id,
            log_aggregation=_log_aggregation(spec),
            secrets=app_secrets.for_master() if secret else {},
            token_filesystems=token_filesystems,
            tokens=tokens,
        ),
        secret,
    )


def _log_aggregation(spec: ApplicationSpec) -> LogAggregation | None:
    patterns = spec.log_aggregation
    if patterns is None:
        return None
    return LogAggregation(
        patterns.include or None,
        patterns.exclude or None,
        patterns.rolled_include or None,
        patterns.rolled_exclude or None,
    )


def _filesystems(shipped: Shipped) -> set[str]:
    """The filesystems that hold the application's files, for which a secure cluster wants tokens."""
    uris = (r.uri for links in (*shipped.services.values(), shipped.master) for r in links.values())
    return {"{}://{}/".format(*urlsplit(uri)[:2]) for uri in uris}


def _of_master(staged: Mapping[str, LocalResource]) -> dict[str, LocalResource]:
    """What of the staged files the ApplicationMaster's own container needs."""
    return {am.MASTER_SCRIPT: staged[am.MASTER_SCRIPT]} if am.MASTER_SCRIPT in staged else {}


def _private(status: FileStatus) -> LocalResource:
    return LocalResource(uri=status.path, size=status.length, timestamp=status.modified_ms, visibility="APPLICATION")
