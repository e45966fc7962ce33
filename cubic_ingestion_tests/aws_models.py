"""AWS's descriptions of its services, which boto3 reads anew for each session: a tenth of a second for each client."""

from functools import cache
from typing import Any

from botocore.loaders import JSONFileLoader

_load_file = JSONFileLoader.load_file


@cache
def _loaded(path: str) -> Any:
    return _load_file(JSONFileLoader(), path)


def read_aws_models_once() -> None:
    """Keep what was read for all sessions of this process; botocore changes nothing of it."""

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        del self
        return _loaded(file_path)

    JSONFileLoader.load_file = load_file
