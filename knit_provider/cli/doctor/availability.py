"""Which of several ResourceManagers and NameNodes is the active one, which waits, and which does not answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from knit_provider.cli.doctor.finding import Finding
from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.files.namenodes import NameNodes
from knit_provider.yarn.knit import Knit
from knit_provider.yarn.tls import trust_of

_STATES = ("active", "standby", "observer")


def of_managers(knit: Knit) -> Iterator[Finding]:
    """A finding about the ResourceManagers, where the configuration has several."""
    if len(knit.connection.session.addresses) > 1:
        yield _finding("ResourceManagers", "ResourceManager", knit.yarn_api.ha_state())


def of_namenodes(knit: Knit) -> Iterator[Finding]:
    """A finding about the NameNodes of the default filesystem, where the configuration has several."""
    connection = knit.connection
    try:
        addresses = connection.full_conf.namenode_web_addresses()
    except KnitError as error:
        yield "NameNodes", False, str(error)
        return
    if len(addresses) > 1:
        trusted = trust_of(connection.full_conf)
        auth, acted_for = connection.session.auth, connection.proxy_user
        namenodes = NameNodes(addresses, connection.caller, auth, trusted, acted_for=acted_for)
        try:
            yield _finding("NameNodes", "NameNode", namenodes.ha_states())
        finally:
            namenodes.close()


def _finding(what: str, one: str, states: Mapping[str, str]) -> Finding:
    """All is well where one is active and the others could take over."""
    words = []
    for address, said in states.items():
        state = said.lower()
        words.append(f"{address} is {state}" if state in _STATES else f"{address} does not answer as one: {said}")
    mute = [address for address, said in states.items() if said.lower() not in _STATES]
    if "active" not in (said.lower() for said in states.values()):
        words.append(f"no {one} is active: look at the logs of both, and whether ZooKeeper is up")
    elif mute:
        words.append("if the active one is lost, nobody takes over before that is started again")
    return what, len(words) == len(states), "; ".join(words)
