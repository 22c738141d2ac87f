"""What a work pool of type ``yarn`` can be told: the job template's variables, and one flow run's container."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import FlowRun
from prefect.workers.base import BaseJobConfiguration, BaseVariables
from pydantic import ConfigDict, Field, field_validator

from knit_provider.prefect.credentials import YarnCredentials
from knit_provider.prefect.jobs import YarnJob

if TYPE_CHECKING:
    from knit_provider.yarn.spec import ApplicationSpec

# A flow run takes Python with Prefect: less than this is killed by YARN before the flow begins.
FLOW_MEMORY = "1 GiB"


class YarnJobConfiguration(BaseJobConfiguration):
    """What one flow run's container is made of; the job template's variables with their values.

    ``env`` is Prefect's: environment variables. The packed Python environment is ``packed_env``.
    """

    # Prefect's worker puts the error into the flow run's state, for all who may see that.
    model_config = ConfigDict(hide_input_in_errors=True)

    credentials: YarnCredentials | None = None
    packed_env: str | None = None
    yarn_queue: str | None = None
    memory: int | str = FLOW_MEMORY
    virtual_cores: int = 1
    files: list[str] | dict[str, str] = Field(default_factory=list)
    container_resources: dict[str, int] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    lifetime: int | str | None = None
    stream_output: bool = True
    poll_interval_seconds: float = 5.0
    cancel_grace_seconds: float = 30.0

    @field_validator("files", "container_resources", "tags", mode="before")
    @classmethod
    def _empty(cls, value: Any, info: Any) -> Any:
        # A variable without a value leaves None, or its own placeholder, in the template.
        return value if value is not None else ({} if info.field_name == "container_resources" else [])

    def prepare_for_flow_run(self, flow_run: FlowRun, *args: Any, **kwargs: Any) -> None:
        """Fill in what depends on the flow run: variables, labels, name and command.

        Called by Prefect before each run.
        """
        # With the environment's own interpreter: its scripts carry the path where they were made.
        python = '"$PYTHON_BIN"' if self.packed_env else "python3"
        self.command: str | None = self.command or f"exec {python} -m prefect flow-run execute"
        super().prepare_for_flow_run(flow_run, *args, **kwargs)

    def spec(self, flow_run_id: object) -> ApplicationSpec:
        """The flow run's container as an application of one service, found again by :func:`worker_tag`."""
        spec = YarnJob(
            credentials=self.credentials,
            command=self.command or "",
            app_name=self.name or f"prefect-{flow_run_id}",
            env=self.packed_env,
            envvars={name: value for name, value in self.env.items() if value is not None},
            files=self.files,
            memory=self.memory,
            virtual_cores=self.virtual_cores,
            yarn_queue=self.yarn_queue,
            container_resources=self.container_resources,
            tags=self.tags,
            lifetime=self.lifetime,
        ).spec()
        return replace(spec, tags=(*spec.tags, worker_tag(flow_run_id)))


class YarnVariables(BaseVariables):
    """What a work pool and a deployment can set."""

    credentials: YarnCredentials | None = Field(
        default=None,
        title="Credentials",
        description="The cluster; without one, what the worker's own Hadoop configuration says.",
    )
    packed_env: str | None = Field(
        default=None,
        title="Python environment",
        description=(
            "Archive of a packed environment with Prefect in it (a path on the worker, or a URI), or python:///path of "
            "an interpreter on every node. Without one, the node's python3, which then needs Prefect."
        ),
    )
    yarn_queue: str | None = Field(default=None, title="Queue", description="Default: the credentials'.")
    memory: int | str = Field(default=FLOW_MEMORY, description="Of the container: MiB, or text such as 2 GiB.")
    virtual_cores: int = Field(default=1, description="Of the container.")
    files: list[str] | dict[str, str] = Field(
        default_factory=list,
        description="Paths on the worker, or URIs, for the container's folder: a list, or name there to source.",
    )
    container_resources: dict[str, int] = Field(
        default_factory=dict, title="Further resources", description="Such as yarn.io/gpu: 1."
    )
    tags: list[str] = Field(default_factory=list, description="At most 3 further tags of the application.")
    lifetime: int | str | None = Field(
        default=None,
        description="After which YARN ends the application: seconds, or text such as 2 h. Default 7 days.",
    )
    stream_output: bool = Field(default=True, description="Write the container's output into the worker's log.")
    poll_interval_seconds: float = Field(
        default=5.0, ge=0.1, title="Poll interval", description="Longest time between two looks, in seconds."
    )
    cancel_grace_seconds: float = Field(
        default=30.0,
        ge=0,
        title="Grace at cancellation",
        description="How long a cancelled flow run may take to end itself before its application is killed.",
    )

    @classmethod
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The variables' schema, by which the server checks what a pool, a deployment and a run set."""
        schema: dict[str, Any] = super().model_json_schema(*args, **kwargs)
        # The server takes a block or a reference to one, but not what can be both. No field of ours is required, so a
        # reference would pass as a block, too.
        schema["definitions"]["YarnCredentials"]["not"] = {"required": ["$ref"]}
        return schema


def worker_tag(flow_run_id: object) -> str:
    """The tag of the application that a flow run runs in.

    Another than that of the applications that the flow run starts: those are killed from within.
    """
    return f"prefect-runs-{flow_run_id}"
