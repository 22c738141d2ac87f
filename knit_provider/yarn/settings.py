"""The keyword arguments of ``Knit`` beside its first six, checked by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from knit_provider.yarn.config import HadoopConf
from knit_provider.yarn.config.layers import SHORT_NAMES
from knit_provider.yarn.errors import ConfigurationError
from knit_provider.yarn.units import check_int, check_seconds

AM_CLASSES = ("cluster", "shipped")

_OF_CONF = frozenset(SHORT_NAMES) | {"password"}


@dataclass(frozen=True)
class KnitSettings:
    """See :class:`~knit_provider.yarn.knit.Knit` for what each means.

    Attributes:
        cluster: the arguments that say which cluster and user, for :class:`HadoopConf`.
    """

    bridge: str = "auto"
    hadoop_conf_dir: str | None = None
    hadoop_home: str | None = None
    java_home: str | None = None
    staging: str | None = None
    am_timeout: float = 60.0
    lease_seconds: int = 90
    am_classes: str = "cluster"
    principal: str | None = None
    keytab: str | None = None
    ccache: str | None = None
    keytab_base64: str | None = field(default=None, repr=False)
    proxy_user: str | None = None
    cluster: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def load_conf(self, autodetect: bool, pars: Mapping[str, Any] | None) -> HadoopConf:
        """The cluster's configuration under these arguments."""
        if pars is not None and not isinstance(pars, Mapping):
            raise ConfigurationError(f"pars is a {type(pars).__name__}; give a mapping of Hadoop property to value")
        return HadoopConf.load(autodetect, self.hadoop_conf_dir, pars, **self.cluster)


def settings_of(kwargs: Mapping[str, Any]) -> KnitSettings:
    """Check the arguments; None counts as not given.

    Raises:
        ConfigurationError: for an unknown name, with the nearest known one, and for a number out of range.
    """
    own = {f.name for f in fields(KnitSettings)} - {"cluster"}
    known = own | _OF_CONF
    for name in kwargs:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise ConfigurationError(f"Knit has no parameter {name!r}; {hint}")
    given = {k: v for k, v in kwargs.items() if v is not None}
    settings = KnitSettings(
        **{k: v for k, v in given.items() if k in own}, cluster={k: v for k, v in given.items() if k in _OF_CONF}
    )
    check_seconds(settings.am_timeout, "am_timeout")
    check_int(settings.lease_seconds, "lease_seconds", minimum=5, maximum=24 * 3600)
    if settings.am_classes not in AM_CLASSES:
        raise ConfigurationError(f"am_classes={settings.am_classes!r} is not one of {', '.join(AM_CLASSES)}")
    return settings
