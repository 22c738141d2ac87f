"""Other people's applications, where YARN's ACLs are on: what a stranger can do, and what those whom its owner names can."""

from __future__ import annotations

from collections.abc import Callable

from knit_provider import Knit
from tests.hadoop.eventually import eventually

SERVICES = {"w": {"script": "echo said; sleep 300", "resources": {"memory": 64, "vcores": 1}}}


def started(knit: Knit, **spec: object) -> str:
    app_id = knit.submit({"services": SERVICES, **spec})
    eventually(lambda: len([c for c in knit.get_containers() if c["service"]]) == 1)
    return app_id


def test_a_stranger_sees_that_it_is_there_and_no_more(knit: Knit, make_knit: Callable[..., Knit]) -> None:
    app_id = started(knit)
    bob = make_knit("bob")
    status = bob.application(app_id).status()
    print(status)
    for what in (
        lambda: bob.logs(app_id),
        lambda: bob.kill(app_id),
        lambda: bob.application(app_id).scale("w", 2),
        lambda: bob.get_containers(app_id),
    ):
        try:
            print("GOT", what())
        except Exception as e:
            print(type(e), e)
    raise AssertionError
