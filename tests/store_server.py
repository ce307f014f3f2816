"""An S3-compatible server on this machine, with buckets in memory."""

from contextlib import contextmanager

import pyarrow.fs as fs
from moto.server import ThreadedMotoServer

ACCESS = {"AWS_ACCESS_KEY_ID": "a-test-key", "AWS_SECRET_ACCESS_KEY": "a-test-secret"}


class Store:
    """The server.

    Attributes
    ----------
    query : str
        What follows a URI so that it means this server.
    """

    def __init__(self, port):
        self.endpoint = f"127.0.0.1:{port}"
        self.query = f"?scheme=http&endpoint_override={self.endpoint}"
        self._filesystem = fs.S3FileSystem(
            access_key="a-test-key",
            secret_key="a-test-secret",
            scheme="http",
            region="us-east-1",
            endpoint_override=self.endpoint,
            allow_bucket_creation=True,
        )

    def put(self, folder, path):
        """Copy the files of a folder to a bucket and key."""
        self._filesystem.create_dir(path)
        fs.copy_files(str(folder), path, destination_filesystem=self._filesystem)


@contextmanager
def serve_store():
    """Serve a store on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield Store(server.get_host_and_port()[1])
    finally:
        server.stop()
