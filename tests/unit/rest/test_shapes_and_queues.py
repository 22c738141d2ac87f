"""Answers as versions and schedulers other than the test cluster's give them."""

from __future__ import annotations

import pytest

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.rest.queues import acl_allows, find_queue, may_be_created, queues_of
from knit_provider.yarn.rest.shapes import app_of_container, check_app_id, items, number, resource_of


@pytest.mark.parametrize(
    "answer",
    [
        {"apps": {"app": [{"id": 1}]}},
        {"apps": {"app": {"id": 1}}},
        {"apps": [{"app": [{"id": 1}]}]},
        {"apps": [{"app": {"id": 1}}, {"app": None}, {}]},
    ],
)
def test_one_item_in_any_shape(answer):
    assert items(answer, "apps", "app") == [{"id": 1}]


@pytest.mark.parametrize("answer", [{}, {"apps": None}, {"apps": {}}, {"apps": {"app": None}}, {"apps": []}, None, 3])
def test_no_item_in_any_shape(answer):
    assert items(answer, "apps", "app") == []


@pytest.mark.parametrize(("value", "expected"), [(5, 5), ("5", 5), (None, 0), ("", 0), ("x", 0)])
def test_numbers_may_be_strings(value, expected):
    assert number(value) == expected


def test_resources_by_name():
    described = {
        "memory": 4096,
        "vCores": 4,
        "resourceInformations": {
            "resourceInformation": [
                {"name": "memory-mb", "value": 1, "units": "Mi"},
                {"name": "yarn.io/gpu", "value": "2", "units": ""},
            ]
        },
    }
    assert resource_of(described) == {"memory-mb": 4096, "vcores": 4, "yarn.io/gpu": 2}
    assert resource_of({"memory": 1, "vCores": 2}) == {"memory-mb": 1, "vcores": 2}
    assert resource_of(None) == {}


def test_ids():
    assert check_app_id(" application_1454900586318_0004 ") == "application_1454900586318_0004"
    assert app_of_container("container_e17_1454900586318_0004_02_000001") == (
        "application_1454900586318_0004",
        "appattempt_1454900586318_0004_000002",
    )
    with pytest.raises(ConfigurationError, match="container id"):
        app_of_container("x" * 10000)


DAILY = {"queueName": "daily", "state": "RUNNING", "type": "capacitySchedulerLeafQueueInfo"}
CAPACITY = {
    "schedulerInfo": {
        "type": "capacityScheduler",
        "queueName": "root",
        "queues": {
            "queue": [
                {"queueName": "sales", "queues": {"queue": DAILY}, "state": "RUNNING"},
                {"queueName": "default", "state": "STOPPED"},
                {"queueName": "users", "queueType": "parent", "autoCreationEligibility": "flexible"},
            ]
        },
    }
}
FAIR = {
    "schedulerInfo": {
        "type": "fairScheduler",
        "rootQueue": {
            "queueName": "root",
            "childQueues": {
                "queue": [
                    {"type": "fairSchedulerLeafQueueInfo", "queueName": "root.default"},
                    {
                        "queueName": "root.sales",
                        "maxContainerAllocation": {"memory": 2048, "vCores": 2},
                        "childQueues": [{"type": "fairSchedulerLeafQueueInfo", "queueName": "root.sales.daily"}],
                    },
                ]
            },
        },
    }
}
FIFO = {"schedulerInfo": {"type": "fifoScheduler", "qstate": "RUNNING"}}


class TestQueues:
    def test_of_an_old_capacity_scheduler(self):
        queues = queues_of(CAPACITY)
        assert [(q.path, q.leaf) for q in queues] == [
            ("root", False),
            ("root.sales", False),
            ("root.sales.daily", True),
            ("root.default", True),
            ("root.users", False),
        ]
        assert find_queue(queues, "daily").path == "root.sales.daily"
        assert find_queue(queues, "sales.daily").path == "root.sales.daily"
        assert find_queue(queues, "sales").leaf is False
        assert find_queue(queues, "root.default").state == "STOPPED"
        assert find_queue(queues, "weekly") is None

    @pytest.mark.parametrize(
        ("name", "expected"),
        [("users.alice", True), ("root.users.alice", True), ("sales.x", False), ("x", False), ("users.a.b", True)],
    )
    def test_that_come_into_being_by_submission(self, name, expected):
        assert may_be_created(queues_of(CAPACITY), name) is expected

    def test_of_the_fair_scheduler(self):
        queues = queues_of(FAIR)
        assert [(q.path, q.name, q.leaf) for q in queues] == [
            ("root", "root", False),
            ("root.default", "default", True),
            ("root.sales", "sales", False),
            ("root.sales.daily", "daily", True),
        ]
        assert queues[2].max_allocation == {"memory-mb": 2048, "vcores": 2}
        assert may_be_created(queues, "alice") is True

    def test_of_the_fifo_scheduler(self):
        assert [(q.path, q.state) for q in queues_of(FIFO)] == [("root.default", "RUNNING")]

    def test_of_a_scheduler_that_says_nothing(self):
        assert queues_of({}) == []


class TestAccessControlLists:
    """``users groups``, ``*`` for everybody, a blank for nobody; rights are handed down."""

    @pytest.mark.parametrize(
        ("root", "leaf", "allowed"),
        [
            (" ", " ", False),
            (" ", "*", True),
            ("*", " ", True),
            (" ", "alice,bob", True),
            (" ", "bob,alice analysts", True),
            # Hadoop splits at the first blank: alice is a group here.
            (" ", "bob, alice", None),
            (" ", "bob", False),
            (" ", "alicex", False),
            (" ", "bob analysts", None),
            (" analysts", "bob", None),
            ("", "", False),
        ],
    )
    def test_who_may_submit(self, root, leaf, allowed):
        def lists(text):
            return {"queueAcls": {"queueAcl": [{"accessType": "SUBMIT_APP", "accessControlList": text}]}}

        answer = {"queueName": "root", "queues": {"queue": {"queueName": "a", **lists(leaf)}}, **lists(root)}
        queues = queues_of({"schedulerInfo": answer})
        assert acl_allows(queues, find_queue(queues, "a"), "alice") is allowed

    def test_an_administrator_may_submit(self):
        acls = [
            {"accessType": "APPLICATION_MAX_PRIORITY", "accessControlList": "*"},
            {"accessType": "SUBMIT_APP", "accessControlList": " "},
            {"accessType": "ADMINISTER_QUEUE", "accessControlList": "alice"},
        ]
        answer = {"queueName": "root", "queues": {"queue": {"queueName": "a", "queueAcls": {"queueAcl": acls}}}}
        queues = queues_of({"schedulerInfo": answer})
        assert acl_allows(queues, find_queue(queues, "a"), "alice") is True
        assert acl_allows(queues, find_queue(queues, "a"), "bob") is False

    def test_nothing_is_told(self):
        queues = queues_of(CAPACITY)
        assert acl_allows(queues, find_queue(queues, "daily"), "alice") is None
