"""What all tests share: the fixture ``cluster``, a real Hadoop that is started when the first test asks for it."""

pytest_plugins = ["knit_provider.localcluster.pytest_plugin"]
