from __future__ import annotations

import pytest

from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.units import check_int, check_seconds, parse_memory


@pytest.mark.parametrize(
    ("given", "mib"),
    [
        (128, 128),
        ("128", 128),
        (" 2048 ", 2048),
        ("2 GiB", 2048),
        ("2GiB", 2048),
        ("512 MB", 489),  # 488.3 MiB, rounded up
        ("1g", 1024),
        ("1G", 1024),
        ("1.5 GiB", 1536),
        (".5g", 512),
        ("1 Ki", 1),
        ("100b", 1),
        ("1TiB", 2**20),
    ],
)
def test_memory_is_mebibytes_unless_a_suffix_says_otherwise(given, mib):
    assert parse_memory(given, "memory") == mib


@pytest.mark.parametrize(
    "given",
    [0, -1, "0", "-5", "-1g", 2.0, float("nan"), True, None, [], b"1g", "", " ", "much", "1.5", "1e3", "5 parsecs",
     "1 g b", "999999999999g", 2**31, pytest.param(10**5000, id="endless"), "9" * 5000, "٣"],
)  # fmt: skip
def test_memory_that_cannot_be_used_is_refused_by_name(given):
    with pytest.raises(ConfigurationError, match="worker_memory") as caught:
        parse_memory(given, "worker_memory")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "given", [0, -1, True, False, 1.0, 1.5, float("nan"), "4", None, [], 2**31, pytest.param(10**5000, id="endless")]
)
def test_counts_are_whole_numbers_within_limits(given):
    with pytest.raises(ConfigurationError, match="num_containers"):
        check_int(given, "num_containers", minimum=1)


def test_a_refused_number_says_what_would_be_right():
    with pytest.raises(ConfigurationError, match=r"rm_port=70000 is out of range; it must be at most 65535"):
        check_int(70000, "rm_port", minimum=1, maximum=65535)


@pytest.mark.parametrize("given", [-0.1, float("nan"), float("inf"), True, "10", None])
def test_seconds_are_finite_numbers(given):
    with pytest.raises(ConfigurationError, match="timeout"):
        check_seconds(given, "timeout")


def test_whole_seconds_come_back_as_a_float():
    assert check_seconds(10, "timeout") == 10.0
