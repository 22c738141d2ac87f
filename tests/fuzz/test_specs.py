"""Specs of any content: accepted, and the same after every round trip, or refused by an error that names the field."""

from __future__ import annotations

import copy

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from knit_provider.yarn.errors import KnitError
from knit_provider.yarn.spec import ApplicationSpec, SpecError
from knit_provider.yarn.submission.scripts import master_script, service_script
from tests.fuzz.budget import refusal, tries
from tests.fuzz.corpus import files
from tests.fuzz.strings import anything, hostile, scalars

WHOLE = {
    "name": "nightly",
    "queue": "root.etl",
    "tags": ["a"],
    "user": "bob",
    "priority": 3,
    "max_attempts": 2,
    "attempt_failures_validity": "10 min",
    "lifetime": 60,
    "acls": {"enable": True, "view_users": ["bob"], "modify_groups": ["staff"]},
    "node_label": "fast",
    "file_systems": ["hdfs://other:8020"],
    "bound": True,
    "staging": "hdfs://nn:8020/tmp/x",
    "log_aggregation": {"include": "std.*"},
    "reservation_id": "reservation_1_2",
    "master": {
        "resources": {"memory": "512 MiB", "vcores": 2},
        "script": "echo 1",
        "files": {"x": "hdfs://nn/x"},
        "envvars": {"A": "b"},
        "log_level": "WARN",
        "port_range": "30000-30010",
    },
    "services": {
        "scheduler": {"resources": {"memory": 100}, "argv": ["a", "b c"], "when_empty": "stay"},
        "worker": {
            "resources": {"memory": 100, "vcores": 2, "gpus": 1, "named": {"licence": 3}},
            "script": "date",
            "instances": 0,
            "env": "hdfs://nn/env.tar.gz",
            "envvars": {"N": "no"},
            "files": ["a.csv", {"source": "hdfs://nn/b.csv", "type": "FILE", "visibility": "PUBLIC", "size": 3}],
            "archives": {"c": "c.zip"},
            "depends_on": ["scheduler"],
            "max_restarts": -1,
            "allow_failures": True,
            "node_label": "slow",
            "nodes": ["n1"],
            "racks": ["/r1"],
            "relax_locality": True,
        },
    },
}


def places(value, path=()):
    """The paths of everything in a document."""
    found = [path] if path else []
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        found += places(inner, (*path, key))
    return found


PLACES = places(WHOLE)


def accepted_or_refused(document, base=None, name=None):
    """Read a document; what is accepted is the same after every round trip, and can be carried by a script.

    ``name``: which field the error has to name, where it is known.
    """
    refused = refusal(lambda: ApplicationSpec.from_dict(document, base), SpecError)
    if refused is not None:
        assert name is None or name in str(refused), (name, refused)
        assert len(str(refused)) < 20_000
        return
    spec = ApplicationSpec.from_dict(document, base)
    assert ApplicationSpec.from_dict(spec.to_dict()) == spec
    for service in spec.services.values():
        service_script(service)
    master_script(spec.master)
    assert ApplicationSpec.from_json(spec.to_json()) == spec
    assert ApplicationSpec.from_yaml(spec.to_yaml()) == spec


@tries(150)
@given(st.sampled_from(PLACES), anything)
@example(("lifetime",), 10**400)
@example(("lifetime",), "9" * 400 + " d")
@example(("services", "worker", "files", 0), "file://[x")
@example(("staging",), "hdfs://[x")
@example(("user",), 0)
@example(("tags",), {"a", 1})
def test_any_value_at_any_place(place, value):
    document = copy.deepcopy(WHOLE)
    inner = document
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    name = next((part for part in reversed(place) if isinstance(part, str)), None)
    # A command may be missing where the other way to give it stands; a service that is gone is missed elsewhere.
    known = None if (place[0] == "services" and len(place) <= 2) or name in ("script", "argv") else name
    accepted_or_refused(document, name=known)


@tries(150)
@given(st.sampled_from([p[:-1] for p in PLACES]), hostile, scalars)
def test_any_name_at_any_place(place, name, value):
    document = copy.deepcopy(WHOLE)
    inner = document
    for part in place:
        inner = inner[part]
    if isinstance(inner, list):
        inner.append(value)
    else:
        inner[name] = value
    accepted_or_refused(document)


@tries(40)
@given(hostile, hostile)
@example("~nobody-there/x", "~nobody-there/e.tar.gz")
@example("~\0", "x")
def test_paths_beside_a_file(tmp_path, source, env):
    service = {"resources": {"memory": 1}, "script": "x", "files": [source], "env": env}
    accepted_or_refused({"services": {"w": service}}, base=tmp_path)


@tries(100)
@given(anything)
def test_any_document(value):
    accepted_or_refused(value)


@tries(100)
@given(st.text(" \n:-[]{}&*!?|>'\"%@`,#<a1.~=", max_size=60) | hostile)
@example('lifetime: !!int ""')
@example("lifetime: !!timestamp x")
@example("bound: !!bool x")
def test_any_text_as_yaml_and_json(text):
    for read in (ApplicationSpec.from_yaml, ApplicationSpec.from_json):
        refused = refusal(lambda read=read: read(text), SpecError)
        assert refused is None or str(refused)


@pytest.mark.parametrize("place", ["name", "lifetime", "max_attempts", "tags", "services", "reservation_id", "acls"])
def test_numbers_that_python_refuses_to_print(place):
    for value in (10**5000, [10**5000], {10**5000: 1}):
        with pytest.raises(SpecError, match=place):
            ApplicationSpec.from_dict({**WHOLE, place: value})


@files("specs")
def test_the_corpus(path):
    with pytest.raises(KnitError) as caught:
        ApplicationSpec.from_file(path)
    assert len(str(caught.value)) < 20_000
