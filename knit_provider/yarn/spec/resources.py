"""How much of a node one container gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from knit_provider.yarn.spec import fields

# Far above any node there is: what lies beyond is a slip, most often bytes where MiB are meant.
MAX_MEMORY_MIB = 64 * 1024 * 1024
MAX_UNITS = 1_000_000

GPU = "yarn.io/gpu"
FPGA = "yarn.io/fpga"
_FIELDS = {GPU: "gpus", FPGA: "fpgas"}

# The pattern by which Hadoop itself accepts a resource's name.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*/)?[A-Za-z][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Resources:
    """What one container asks for.

    Attributes:
        memory: MiB. A number or a digit-only string is MiB; text with a unit ("2 GiB", "512 MB") is what it says,
            rounded up. At least 1.
        vcores: virtual cores, at least 1. Default 1.
        gpus: GPUs (``yarn.io/gpu``). Default 0.
        fpgas: FPGAs (``yarn.io/fpga``). Default 0.
        named: amounts of any other resource that the cluster defines, by its name; what has a field goes there.
    """

    memory: int
    vcores: int = 1
    gpus: int = 0
    fpgas: int = 0
    named: Mapping[str, int] = field(default_factory=dict)

    if TYPE_CHECKING:

        def __init__(
            self,
            memory: int | str,
            vcores: int = 1,
            gpus: int = 0,
            fpgas: int = 0,
            named: Mapping[str, int] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        keep = object.__setattr__
        keep(self, "memory", fields.memory(self.memory, "memory", MAX_MEMORY_MIB))
        keep(self, "vcores", fields.whole(self.vcores, "vcores", 1, MAX_UNITS))
        keep(self, "gpus", fields.whole(self.gpus, "gpus", 0, MAX_UNITS))
        keep(self, "fpgas", fields.whole(self.fpgas, "fpgas", 0, MAX_UNITS))
        given = fields.mapping(self.named, "named")
        with fields.within("named"):
            named = {name: fields.whole(amount, name, 0, 2**53) for name, amount in given.items()}
            for name in named:
                _check_name(name)
            for name, field_name in _FIELDS.items():
                amount = named.pop(name, 0)
                if amount and getattr(self, field_name):
                    fields.fail(name, f"is given beside {field_name!r}, which means the same")
                if amount:
                    keep(self, field_name, amount)
        keep(self, "named", named)

    def amounts(self) -> dict[str, int]:
        """Every resource beside memory and vcores of which more than none is asked for, by YARN's name."""
        every = {GPU: self.gpus, FPGA: self.fpgas, **self.named}
        return {name: amount for name, amount in every.items() if amount}

    @classmethod
    def of(cls, memory: int | str, vcores: int, further: Mapping[str, int] | None = None) -> Resources:
        """Read an amount of memory, virtual cores, and further resources under YARN's own names.

        Examples:
            >>> Resources.of("1 GiB", 2, {"yarn.io/gpu": 1, "licences": 3}).amounts()
            {'yarn.io/gpu': 1, 'licences': 3}
        """
        amounts = dict(further or {})
        # from_dict knows by the slash which of YARN's own a name means.
        own = {name: amount for name, amount in amounts.items() if "/" in name}
        named = {name: amount for name, amount in amounts.items() if "/" not in name}
        return cls.from_dict({"memory": memory, "vcores": vcores, "named": named, **own})

    @classmethod
    def from_dict(cls, value: object) -> Resources:
        """Read a mapping; a key with a slash in it, such as ``yarn.io/gpu``, is a named resource."""
        if isinstance(value, Resources):
            return value
        given = fields.mapping(value, "")
        named = fields.mapping(given.pop("named", None), "named")
        for key in [key for key in given if "/" in key]:
            if key in named:
                fields.fail(key, "is given twice")
            named[key] = given.pop(key)
        fields.reject_unknown(given, tuple(cls.__dataclass_fields__), {"cpus": "vcores", "cores": "vcores"})
        if "memory" not in given:
            fields.fail("memory", "is required: the MiB of one container, or text such as '2 GiB'")
        return cls(named=named, **given)

    def to_dict(self) -> dict[str, Any]:
        """The fields that are not at their default, as :meth:`from_dict` reads them."""
        every: dict[str, Any] = {"memory": self.memory, "vcores": self.vcores}
        optional: dict[str, Any] = {"gpus": self.gpus, "fpgas": self.fpgas, "named": dict(self.named)}
        return every | {key: value for key, value in optional.items() if value}


def _check_name(name: str) -> None:
    if name in ("memory", "memory-mb", "vcores"):
        fields.fail(name, "is not a named resource; use the field 'memory' or 'vcores'")
    if not _NAME.fullmatch(name):
        fields.fail(name, "is no resource name that YARN accepts; names look like 'yarn.io/gpu' or 'licences'")
