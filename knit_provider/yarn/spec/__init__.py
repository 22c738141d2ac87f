"""The description of an application: what to run, how often, with how much, and in what order."""

from knit_provider.yarn.spec.access import ACLs, LogAggregation
from knit_provider.yarn.spec.application import DEFAULT_LIFETIME, ApplicationSpec
from knit_provider.yarn.spec.environment import EnvReference, env_field, parse_env
from knit_provider.yarn.spec.fields import SpecError, SpecTypeError
from knit_provider.yarn.spec.files import File
from knit_provider.yarn.spec.master import Master
from knit_provider.yarn.spec.resources import Resources
from knit_provider.yarn.spec.service import Service

__all__ = [
    "DEFAULT_LIFETIME",
    "ACLs",
    "ApplicationSpec",
    "EnvReference",
    "File",
    "LogAggregation",
    "Master",
    "Resources",
    "Service",
    "SpecError",
    "SpecTypeError",
    "env_field",
    "parse_env",
]
