"""Airflow operators for applications on YARN."""

from knit_provider.operators.environments import KnitEnvOperator
from knit_provider.operators.kill import KnitKillOperator
from knit_provider.operators.logs import KnitLogsOperator
from knit_provider.operators.start import KnitStartOperator
from knit_provider.operators.wait import KnitWaitOperator

__all__ = ["KnitEnvOperator", "KnitKillOperator", "KnitLogsOperator", "KnitStartOperator", "KnitWaitOperator"]
