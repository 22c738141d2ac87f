"""The core: applications on Hadoop YARN from plain Python. It knows no orchestrator."""
