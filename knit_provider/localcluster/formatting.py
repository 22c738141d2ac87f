"""What is made before the first start: HDFS's stores, and the place in ZooKeeper where NameNodes are elected."""

from __future__ import annotations

import shutil
import subprocess

from knit_provider.localcluster import ha
from knit_provider.localcluster.daemon import Launch, tail, title_of
from knit_provider.localcluster.launch import Plan
from knit_provider.localcluster.progress import first_lines
from knit_provider.yarn.errors import ClusterUnavailable

_HDFS = ("-format", "-nonInteractive")
_ELECTION = ("-formatZK", "-nonInteractive")


class Formatting:
    """One start's making of stores. Nothing blocks: it is asked again and again until it is done."""

    def __init__(self, plan: Plan) -> None:
        """Takes how daemons are run."""
        self._plan = plan
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._election: list[tuple[str, Launch]] = []
        self._election_begun = False
        self._new = False

    def begin(self) -> None:
        """Begins to make the stores of a new HDFS."""
        # Whatever is there is of a start that was cut short, before any file was stored.
        data = self._plan.layout.data
        for name in ("name", "name-1", "name-2", "edits", "blocks", "zookeeper"):
            shutil.rmtree(data / name, ignore_errors=True)
        self._new = True
        first = self._plan.all_of("namenode")[0]
        self._run(first, self._plan.launch(first, *_HDFS))

    def stores_are_there(self) -> bool:
        """Whether NameNodes may start.

        Raises:
            ClusterUnavailable: the store could not be made.
        """
        first, *others = self._plan.all_of("namenode")
        if first not in self._running:
            return True
        if not self._done(first, self._plan.launch(first, *_HDFS)):
            return False
        for other in others:
            # What a new standby would fetch from a running NameNode is this.
            layout = self._plan.layout
            shutil.copytree(ha.store_of(first, layout), ha.store_of(other, layout), dirs_exist_ok=True)
        return True

    def election_is_there(self) -> bool:
        """Whether those who elect a NameNode may start; ZooKeeper has to be up.

        It is made anew whenever ZooKeeper is started: no NameNode runs then, and what is left of the last election
        would only have the next one wait until the dead are known to be dead.

        Raises:
            ClusterUnavailable: it could not be made.
        """
        if not self._election_begun:
            self._election_begun = True
            name = self._plan.all_of("zkfc")[0]
            self._election = [(name, self._plan.launch(name, *_ELECTION))]
            if not self._new:
                # Hadoop would do so by itself (-force), and for ever with the ZooKeeper of 3.3.6 (ZOOKEEPER-4504).
                # Nothing is there after a start that was cut short; what could not be deleted stops the next step.
                self._election.insert(0, ("zookeeper", self._plan.ask_zookeeper("deleteall", ha.ELECTION)))
        while self._election:
            name, launch = self._election[0]
            if name not in self._running:
                self._run(name, launch)
            if not self._done(name, launch, may_fail=len(self._election) > 1):
                return False
            del self._election[0]
        return True

    def end(self) -> None:
        """Ends what is still at it."""
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def _run(self, name: str, launch: Launch) -> None:
        with launch.out.open("wb") as out:
            self._running[name] = subprocess.Popen(
                launch.command,
                env=dict(launch.environment),
                cwd=launch.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _done(self, name: str, launch: Launch, *, may_fail: bool = False) -> bool:
        code = self._running[name].poll()
        if code is None:
            return False
        if code != 0 and not may_fail:
            raise ClusterUnavailable(
                f"The {title_of(name)} could not make its store (exit code {code}); {launch.log} ends with:\n"
                + first_lines([*tail(launch.out, 10), *tail(launch.log, 10)])
            )
        del self._running[name]
        return True
