"""Airflow links."""
