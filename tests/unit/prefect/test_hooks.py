"""Whose applications a hook looks for: what is left of a flow run's credentials on the server."""

from __future__ import annotations

import pytest

pytest.importorskip("prefect")

from knit_provider.prefect import YarnCredentials
from knit_provider.prefect.hooks import credentials_in
from knit_provider.yarn.errors import ConfigurationError


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
