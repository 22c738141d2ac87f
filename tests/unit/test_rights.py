"""What a node's own words about a user mean."""

from __future__ import annotations

import pytest

from knit_provider.yarn.rights import may_not_modify, node_refusal, with_node_refusal

# As the secure container executor writes them; it is native and not to be had in the tests.
PREFIX = (
    "Application application_1_0001 failed 1 times (global limit =2; local limit is =1) due to AM Container for "
    "appattempt_1_0001_000001 exited with  exitCode: -1000\nFailing this attempt.Diagnostics: Application "
    "application_1_0001 initialization failed (exitCode=255) with output: main : command provided 0\n"
    "main : run as user is etl\nmain : requested yarn user is etl\n"
)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("User etl not found", "does not know the user etl.*every node"),
        ("Requested user hdfs is banned", "banned.users.*Submit as a user who"),
        (
            "Requested user etl is not whitelisted and has id 500,which is below the minimum allowed 1000",
            "id 500 is below min.user.id=1000.*allowed.system.users",
        ),
        ("Running as root is not allowed", "Submit as another user"),
    ],
)
def test_a_refusal_names_the_way_out(said: str, words: str) -> None:
    import re

    shown = with_node_refusal(f"{PREFIX}{said}\n")
    assert said in shown
    assert re.search(words, shown, re.DOTALL)
    assert with_node_refusal(shown) == shown


def test_other_words_stay_as_they_are() -> None:
    assert node_refusal(f"{PREFIX}File not found: user.jar") is None
    assert with_node_refusal("exit code 3") == "exit code 3"


def test_a_missing_right_says_who_gives_it() -> None:
    assert may_not_modify("bob", "application_1_0001", "alice") == (
        "bob lacks the right to modify application_1_0001 (MODIFY_APP). Its owner, alice, gives it at submission with "
        "acls: {modify_users: [bob]} or modify_groups; administrators of the queue (acl_administer_queue) and of the "
        "cluster (yarn.admin.acl) have it"
    )
