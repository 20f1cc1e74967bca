"""How an operation ends when it cannot be done."""

from opencode_cloud.errors import OpencodeCloudError


class OperationError(OpencodeCloudError):
    """What was asked for was not done."""


class NoDeploymentError(OperationError):
    """There is no deployment of that name on that Docker host."""


class EngineError(OperationError):
    """The Docker engine could not be asked, or refused; ``status`` is its HTTP status, or 0."""

    def __init__(self, message: str, status: int = 0) -> None:
        self.status = status
        super().__init__(message)
