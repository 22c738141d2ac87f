"""Whose applications a hook looks for: what is left of a flow run's credentials on the server."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("prefect")

from knit_provider.prefect import YarnCredentials, hooks
from knit_provider.prefect.hooks import credentials_in, kill_tagged
from knit_provider.yarn.errors import ClusterUnavailable, ConfigurationError


def test_a_name_and_nothing_stay_what_they_are() -> None:
    assert credentials_in({"credentials": "production"}) == "production"
    assert credentials_in({"credentials": None}) is None
    assert credentials_in({}) is None


def test_a_block_that_was_not_saved_serves_unless_it_had_secrets() -> None:
    plain = YarnCredentials(host="rm", login="alice")
    kept = {**plain.model_dump(mode="json"), "_is_anonymous": False}
    found = credentials_in({"credentials": kept})
    assert isinstance(found, YarnCredentials)
    assert found._arguments() == plain._arguments()
    secret = YarnCredentials(host="rm", password="secret").model_dump(mode="json")
    with pytest.raises(ConfigurationError, match="save the block"):
        credentials_in({"credentials": secret})


@pytest.mark.parametrize("away", [3, 99])
def test_what_is_left_is_looked_for_until_the_cluster_is_back(monkeypatch: pytest.MonkeyPatch, away: int) -> None:
    monkeypatch.setattr(hooks, "LOOK_AGAIN_SECONDS", 0)
    answers: list[Any] = [ClusterUnavailable("it recovers")] * away + [[{"id": "application_1_0001"}], [], []]

    def find(**_: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    app = SimpleNamespace(kill=lambda why: True)
    knit = cast(Any, SimpleNamespace(yarn_api=SimpleNamespace(find=find), application=lambda app_id: app))
    if away < hooks.MOST_LOOKS:
        assert kill_tagged(knit, "tag", "its run ended", logging.getLogger()) == ["application_1_0001"]
    else:
        with pytest.raises(ClusterUnavailable, match="it recovers"):
            kill_tagged(knit, "tag", "its run ended", logging.getLogger())
