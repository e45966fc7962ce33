"""A Kinesis over HTTP for tests: moto's server, on a free port, and what the environment needs to find it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from moto.server import ThreadedMotoServer


@contextmanager
def kinesis_server() -> Generator[Mapping[str, str]]:
    """Start a server, and end it afterwards; yields the environment's variables."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
    finally:
        server.stop()
