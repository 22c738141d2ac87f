"""Dask clusters: this project's beside dask-yarn's."""
