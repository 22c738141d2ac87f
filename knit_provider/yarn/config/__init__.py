"""Hadoop's configuration as a client reads it."""

from knit_provider.yarn.config.hadoop_conf import HadoopConf

__all__ = ["HadoopConf"]
