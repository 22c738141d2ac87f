"""Strings that shells, YARN, XML, JSON and filesystems treat in ways of their own."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st

ODD = json.loads((Path(__file__).parents[1] / "unit" / "data" / "odd_strings.json").read_text())

hostile = st.one_of(
    st.sampled_from(ODD),
    st.text("'\"\\$`!{}<>\n\r\t\0\x01\x7f &;|*?~#=-./:,@%[]()", max_size=40),
    st.text(max_size=40),
    st.lists(st.sampled_from(ODD), max_size=6).map("".join),
    # Lone surrogates, as a command line that is no UTF-8 has them.
    st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.sampled_from(["\ud800", "a" * 5000, "hdfs://[x/y", "file://\u2100/x", "~nobody-there/x", "~\0", "1" * 5000]),
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**400, -(10**4000)]),
    st.floats(),
    hostile,
    st.binary(max_size=10),
)

anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.one_of(hostile, st.integers()), inner, max_size=4),
    max_leaves=12,
)
