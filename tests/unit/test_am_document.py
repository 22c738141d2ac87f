"""The ApplicationMaster's document and the application's secrets."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from knit_provider.yarn.bridge.base import LocalResource
from knit_provider.yarn.control.client import ControlCredentials
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.spec import ApplicationSpec
from knit_provider.yarn.submission.am_document import am_document
from knit_provider.yarn.submission.secrets import new_secrets

APP = "application_1700000000000_0001"
RUN = LocalResource("hdfs://nn/run", 10, 20)

SPEC = ApplicationSpec.from_dict(
    {
        "name": "two",
        "node_label": "fast",
        "acls": {"view_users": ["bob"]},
        "master": {"port_range": "100-200", "script": "date"},
        "services": {
            "a": {"resources": {"memory": 100}, "argv": ["true"]},
            "b": {
                "resources": {"memory": "1 GiB", "vcores": 2, "gpus": 1, "named": {"nic": 2, "none": 0}},
                "script": "echo canary",
                "envvars": {"X": "canary"},
                "instances": 3,
                "depends_on": ["a"],
                "max_restarts": -1,
                "allow_failures": True,
                "when_empty": "stay",
                "node_label": "slow",
                "nodes": ["n1"],
                "racks": ["/r"],
            },
        },
    }
)


def document(spec=SPEC, **fields):
    given = {
        "application_id": APP,
        "submission_id": "abc",
        "user": "alice",
        "secure": False,
        "staging_dir": "hdfs://nn/s/",
        "ledger_file": "hdfs://nn/l",
        "local_resources": {name: {"knit-run.sh": RUN} for name in spec.services},
    }
    return am_document(spec, **given | fields)


def test_the_document_is_as_the_master_reads_it():
    resource = {"uri": "hdfs://nn/run", "type": "FILE", "visibility": "PRIVATE", "size": 10, "timestamp": 20}
    described = document(hadoop_conf={"k": "v"}, am_resources={"knit.jar": LocalResource("hdfs://nn/jar", 1, 2)})
    assert json.loads(json.dumps(described)) == {
        "version": 1,
        "application_id": APP,
        "submission_id": "abc",
        "name": "two",
        "user": "alice",
        "secure": False,
        "staging_dir": "hdfs://nn/s",
        "ledger_file": "hdfs://nn/l",
        "max_attempts": 1,
        "bound": False,
        "lease_seconds": 90,
        "am_port_range": [100, 200],
        "hadoop_conf": {"k": "v"},
        "acls": {"view": "bob ", "modify": " "},
        "master_script": "run-master.sh",
        "am_files": ["hdfs://nn/jar"],
        "services": [
            {
                "name": "a",
                "instances": 1,
                "resources": {"memory": 100, "vcores": 1, "named": {}},
                "depends_on": [],
                "max_restarts": 0,
                "allow_failures": False,
                "when_empty": "finish",
                "node_label": "fast",
                "nodes": [],
                "racks": [],
                "relax_locality": True,
                "local_resources": {"knit-run.sh": resource},
            },
            {
                "name": "b",
                "instances": 3,
                "resources": {"memory": 1024, "vcores": 2, "named": {"yarn.io/gpu": 1, "nic": 2}},
                "depends_on": ["a"],
                "max_restarts": -1,
                "allow_failures": True,
                "when_empty": "stay",
                "node_label": "slow",
                "nodes": ["n1"],
                "racks": ["/r"],
                "relax_locality": False,
                "local_resources": {"knit-run.sh": resource},
            },
        ],
    }


def test_user_text_is_not_in_the_document():
    assert "canary" not in json.dumps(document())


def test_bound_is_the_callers_then_the_specs():
    bound = ApplicationSpec.from_dict(SPEC.to_dict() | {"bound": True})
    assert document(bound)["bound"] is True
    assert document(bound, bound=False)["bound"] is False
    assert document(bound=True)["bound"] is True


def test_a_service_without_its_script_is_refused():
    with pytest.raises(ConfigurationError, match="'b'"):
        document(local_resources={"a": {"knit-run.sh": RUN}})


def test_secrets_are_new_and_long_and_shown_nowhere():
    one, two = new_secrets(APP, 3600), new_secrets(APP, 3600)
    assert len({one.control, one.worker, two.control, two.worker}) == 4
    for secret in (one.control, one.worker):
        assert len(base64.urlsafe_b64decode(secret + "=")) == 32
        assert secret not in repr(one)
    assert one.key != two.key


def test_key_and_certificate_belong_together_and_outlive_the_application():
    secrets = new_secrets(APP, 3600)
    key = serialization.load_der_private_key(secrets.key, None)
    certificate = x509.load_der_x509_certificate(secrets.certificate)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert certificate.public_key() == key.public_key()
    certificate.verify_directly_issued_by(certificate)
    assert certificate.subject.rfc4514_string() == f"CN={APP}"
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert timedelta(days=3, hours=1) == life
    # Its key signs nothing else, and its bearer is no client of anybody's.
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]
    unlimited = x509.load_der_x509_certificate(new_secrets(APP, None).certificate)
    assert unlimited.not_valid_after_utc - unlimited.not_valid_before_utc > timedelta(days=3000)


def test_the_master_gets_every_secret_and_the_client_what_it_needs():
    secrets = new_secrets(APP, None)
    assert secrets.for_master() == {
        "knit.control.secret": secrets.control.encode(),
        "knit.worker.secret": secrets.worker.encode(),
        "knit.key": secrets.key,
        "knit.certificate": secrets.certificate,
    }
    credentials = secrets.credentials
    assert ControlCredentials.from_json(credentials.to_json(APP), "x") == credentials
    assert secrets.worker.encode() not in credentials.to_json(APP)
