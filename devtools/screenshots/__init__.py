"""`make ui-screenshots`: a person's look at the pages that knit-provider shows in Airflow and Prefect."""
