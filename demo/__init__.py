"""`make demo`: a real Hadoop, a real Airflow and the word count DAG on one machine, from a fresh clone."""
