"""TaskFlow decorators: ``@task.yarn`` and ``@task.yarn_cmd``."""
