"""A stand-in for the Hugging Face Hub: the part of its protocol that a download needs."""

import hashlib
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from huggingface_hub import close_session, constants

COMMIT = "0123456789abcdef0123456789abcdef01234567"
EARLIER_COMMIT = "fedcba9876543210fedcba9876543210fedcba98"


class HubServer(ThreadingHTTPServer):
    """The hub on a free port of this machine.

    Attributes
    ----------
    repositories : dict
        By "owner/name" and then by revision ("main" or a tag): the content of each file. Instead of
        the files, a status with an error code, such as (403, "GatedRepo").
    requests : list of str
        "METHOD path" of all requests so far.
    sizes : dict
        Sizes of files that are stated instead of the true ones; None if none is stated.
    stored : dict
        The content of large files by the path to which their requests are redirected.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = {}
        self.requests = []
        self.sizes = {}
        self.stored = {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def requested(self, method="GET"):
        """Return the names of the files that were requested, without repeats, in order."""
        names = [
            path.rpartition("/")[2]
            for kind, path in map(str.split, self.requests)
            if kind == method and "/resolve/" in path
        ]
        return list(dict.fromkeys(names))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def log_message(self, *_):
        pass

    def _answer(self):
        server = self.server
        server.requests.append(f"{self.command} {self.path}")
        if self.path.startswith("/storage/"):
            return self._send(200, server.stored[self.path])
        owner, name, kind, revision, file = self.path.strip("/").split("/", 4)
        assert kind == "resolve"
        revisions = server.repositories.get(f"{owner}/{name}", (401, "RepoNotFound"))
        if isinstance(revisions, tuple):
            return self._send(revisions[0], error=revisions[1])
        commits = {COMMIT: "main", EARLIER_COMMIT: "v1"}
        revision = commits.get(revision, revision)
        if revision not in revisions:
            return self._send(404, error="RevisionNotFound")
        commit = next(commit for commit, known in commits.items() if known == revision)
        files = revisions[revision]
        if file not in files:
            return self._send(404, error="EntryNotFound", **{"X-Repo-Commit": commit})
        content = files[file]
        etag = hashlib.sha256(content).hexdigest()
        if not file.endswith(".safetensors"):
            size = server.sizes.get(file, len(content))
            return self._send(200, content, size, ETag=f'"{etag}"', **{"X-Repo-Commit": commit})
        # Large files are stored elsewhere.
        server.stored[f"/storage/{etag}"] = content
        headers = {
            "X-Repo-Commit": commit,
            "X-Linked-Etag": f'"{etag}"',
            "Location": f"http://localhost:{server.server_port}/storage/{etag}",
        }
        size = server.sizes.get(file, len(content))
        if size is not None:
            headers["X-Linked-Size"] = str(size)
        return self._send(302, **headers)

    def _send(self, status, content=b"", size=None, error=None, **headers):
        self.send_response(status)
        if error is not None:
            headers["X-Error-Code"] = error
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(content) if size is None else size))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@contextmanager
def running_hub():
    """Run the hub in a thread."""
    server = HubServer()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def as_own_hub(server, cache, monkeypatch):
    """Make `server` the hub of this process, which has read its environment before."""
    monkeypatch.setenv("NO_PROXY", "*")
    template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    close_session()
    try:
        yield server
    finally:
        close_session()
