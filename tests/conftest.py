"""What all tests share: ``cluster``, a real Hadoop, and ``conda_channel``; each is made when first asked for."""

pytest_plugins = ["knit_provider.localcluster.pytest_plugin", "tests.channels"]
