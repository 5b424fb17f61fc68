"""A Hugging Face Hub in memory, on this machine: answers the real clients over HTTP, standard library only.

    with Hub() as hub:
        hub.add_folder("dataset", "igmu/bench", folder)
        subprocess.run([...], env={**os.environ, **hub.env(tmp_path)})

Every client reads `HF_ENDPOINT` when it is imported, so clients run in a subprocess. Each request is kept in `hub.log`
as (method, path, status), a write to a repository also in `hub.writes`. Run `python tests/hub_server.py
dataset:igmu/bench=FOLDER space:igmu/forget_score=FOLDER` for a Hub to try by hand.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

PREFIX = {"models": "", "datasets": "datasets/", "spaces": "spaces/"}
KINDS = {prefix: kind for kind, prefix in PREFIX.items()}
TYPES = {"model": "models", "dataset": "datasets", "space": "spaces"}
JSON, BYTES = "application/json", "application/octet-stream"
NOW = "2026-01-01T00:00:00.000Z"
# Parquet must be answered as LFS: Dataset.push_to_hub deletes its temporary files after the pre-upload.
LFS = (".parquet", ".png", ".jpg", ".jpeg", ".webp", ".npz", ".npy", ".safetensors", ".pt", ".onnx", ".zip", ".arrow")

Tree = dict[str, tuple[bytes, bool]]  # path → (content, stored as LFS)
Query = dict[str, list[str]]


def git_oid(content: bytes) -> str:
    """What git calls a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def file_oid(content: bytes, lfs: bool) -> str:
    return hashlib.sha256(content).hexdigest() if lfs else git_oid(content)


class HubError(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, code: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, dict(headers or {})


class Repo:
    """One repository: commits as whole trees, refs (branches, tags) as names of commits."""

    def __init__(self, kind: str, name: str, *, gated: str | bool = False, sdk: str = "") -> None:
        self.kind, self.name = kind, name
        self.gated, self.sdk = gated, sdk
        self.commits: dict[str, Tree] = {}
        self.refs: dict[str, str] = {}
        self.tags: set[str] = set()
        self.history: list[tuple[str, str]] = []
        self.commit("main", "initial commit", lambda tree: None)

    def resolve(self, revision: str) -> str:
        revision = unquote(revision)
        for name in (revision, revision.removeprefix("refs/heads/"), revision.removeprefix("refs/tags/")):
            if name in self.refs:
                return self.refs[name]
        hexadecimal = re.fullmatch(r"[0-9a-f]{7,40}", revision)
        found = [oid for oid in self.commits if oid.startswith(revision)] if hexadecimal else []
        if len(found) != 1:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return found[0]

    def tree(self, revision: str) -> Tree:
        return self.commits[self.resolve(revision)]

    def commit(self, ref: str, title: str, change: Callable[[Tree], None]) -> str:
        tree = dict(self.commits[self.refs[ref]]) if ref in self.refs else {}
        change(tree)
        listing = sorted((path, hashlib.sha256(content).hexdigest()) for path, (content, _) in tree.items())
        oid = hashlib.sha1(json.dumps([self.name, title, len(self.history), listing]).encode()).hexdigest()
        self.commits[oid], self.refs[ref] = tree, oid
        self.history.append((oid, title))
        return oid

    def info(self, oid: str) -> dict[str, Any]:
        tree = self.commits[oid]
        readme = tree.get("README.md", (b"", False))[0].decode("utf8", "replace")
        front = re.match(r"---\r?\n(.*?)\r?\n---", readme, re.S)
        card = (yaml.safe_load(front[1]) if front else None) or {}
        who, what = {"_id": "0" * 24, "id": self.name, "modelId": self.name}, {"sdk": self.sdk or None, "sha": oid}
        when = {"lastModified": NOW, "createdAt": NOW, "downloads": 0, "likes": 0, "author": self.name.split("/")[0]}
        access = {"private": False, "gated": self.gated, "disabled": False}
        files = {"siblings": [{"rfilename": path} for path in sorted(tree)]}
        return who | what | when | access | files | {"tags": card.get("tags") or [], "cardData": card}

    def entry(self, path: str, content: bytes, lfs: bool) -> dict[str, Any]:
        out: dict[str, Any] = {"type": "file", "oid": git_oid(content), "size": len(content), "path": path}
        stored = {"oid": file_oid(content, True), "size": len(content), "pointerSize": 130}
        return out | ({"lfs": stored} if lfs else {})

    def listing(self, oid: str, under: str, recursive: bool) -> list[dict[str, Any]]:
        tree, under = self.commits[oid], under.strip("/")
        start = f"{under}/" if under else ""
        hits = sorted(path for path in tree if path.startswith(start))
        if under and not hits:
            raise HubError(404, f"{under} does not exist", "EntryNotFound")
        folders, files = set[str](), []
        for path in hits:
            parents = path.removeprefix(start).split("/")[:-1]
            for depth in range(len(parents) if recursive else min(1, len(parents))):
                folders.add(start + "/".join(parents[: depth + 1]))
            if recursive or not parents:
                files.append(self.entry(path, *tree[path]))
        return [folder_entry(path) for path in sorted(folders)] + files


def folder_entry(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}


class Hub:
    """The server. `tokens` may write, and read what is gated."""

    def __init__(self, tokens: tuple[str, ...] = ("hf_test",)) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.log: list[tuple[str, str, int]] = []
        self.lock = threading.RLock()
        self.tokens = set(tokens)
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def env(self, home: Path, token: str = "hf_test") -> dict[str, str]:
        """Variables that send a client here, with caches of its own under `home`; `token=""` for none."""
        quiet = ("HF_HUB_DISABLE_TELEMETRY", "HF_HUB_DISABLE_UPDATE_CHECK", "HF_HUB_DISABLE_XET")  # LFS only, no Xet
        where = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_TOKEN": token, "NO_PROXY": "127.0.0.1"}
        return where | dict.fromkeys(quiet, "1") | {"HF_UPDATE_DOWNLOAD_COUNTS": "0"}

    @property
    def writes(self) -> list[tuple[str, str, int]]:
        """Requests that change something, or try to."""
        reading = re.compile(r"/paths-info/|/api/validate-yaml$")
        return [entry for entry in self.log if entry[0] not in ("GET", "HEAD") and not reading.search(entry[1])]

    def create(self, type_: str, name: str, **settings: Any) -> Repo:
        key = TYPES.get(type_, type_), name
        if key not in self.repos:
            self.repos[key] = Repo(*key, **settings)
        return self.repos[key]

    def add_folder(self, type_: str, name: str, folder: Path, **settings: Any) -> str:
        """Commit all files of a folder to `main`; the commit."""
        files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
        new = {path: (content, path.endswith(LFS)) for path, content in files.items()}
        return self.create(type_, name, **settings).commit("main", "add folder", lambda tree: tree.update(new))

    def files(self, type_: str, name: str, revision: str = "main") -> dict[str, bytes]:
        tree = self.repos[TYPES[type_], name].tree(revision)
        return {path: content for path, (content, _) in tree.items()}


class Handler(BaseHTTPRequestHandler):
    """The routes; each method takes the named groups of its pattern, the parsed query and the body."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Keep quiet; `hub.log` has it all."""

    def reply(self, status: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> None:
        kind, content = (BYTES, body) if isinstance(body, bytes) else (JSON, json.dumps(body).encode())
        self.hub.log.append((self.command, self.path, status))
        self.send_response(status)
        for key, value in ({"Content-Type": kind, "Content-Length": str(len(content))} | dict(headers or {})).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        out = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            out += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return out

    @property
    def known_user(self) -> bool:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") in self.hub.tokens

    def repo(self, kind: str, name: str, *, write: bool = False) -> Repo:
        if write and not self.known_user:
            raise HubError(401, "Invalid username or password.")
        if (kind, name) not in self.hub.repos:
            raise HubError(404 if self.known_user else 401, "Repository not found", "RepoNotFound")
        return self.hub.repos[kind, name]

    def handle_any(self) -> None:
        data = self.body()
        url = urlsplit(self.path)
        method = self.command.replace("HEAD", "GET")
        try:
            with self.hub.lock:
                for wanted, pattern, answer in ROUTES:
                    if method == wanted and (match := re.fullmatch(pattern, url.path)):
                        return answer(self, data=data, query=parse_qs(url.query), **match.groupdict())
            raise HubError(404, f"no route {self.command} {url.path}")
        except HubError as error:
            headers = {"X-Error-Message": error.message, **error.headers}
            if error.code:
                headers["X-Error-Code"] = error.code
            self.reply(error.status, {"error": error.message}, headers)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 (http.server's names)

    # Account and repositories

    def whoami(self, **_: Any) -> None:
        if not self.known_user:
            raise HubError(401, "Invalid user token")
        token = {"type": "access_token", "accessToken": {"displayName": "t", "role": "write"}}
        self.reply(200, {"type": "user", "id": "1", "name": "tester", "orgs": [{"name": "igmu"}], "auth": token})

    def create(self, data: bytes, **_: Any) -> None:
        if not self.known_user:
            raise HubError(401, "Invalid username or password.")
        asked = json.loads(data)
        name, kind = f"{asked.get('organization') or 'tester'}/{asked['name']}", TYPES[asked.get("type") or "model"]
        status = 409 if (kind, name) in self.hub.repos else 200
        self.hub.create(kind, name, sdk=asked.get("sdk") or "")
        body = {"url": f"{self.hub.url}/{PREFIX[kind]}{name}", "name": name, "id": name}
        self.reply(status, body | ({"error": "You already created this repo"} if status == 409 else {}))

    def settings(self, kind: str, name: str, data: bytes, **_: Any) -> None:
        repo = self.repo(kind, name, write=True)
        repo.gated = json.loads(data)["gated"]
        self.reply(200, {"gated": repo.gated})

    def info(self, kind: str, name: str, revision: str = "main", **_: Any) -> None:
        repo = self.repo(kind, name)
        self.reply(200, repo.info(repo.resolve(revision)))

    def refs(self, kind: str, name: str, **_: Any) -> None:
        repo = self.repo(kind, name)
        heads = {name: oid for name, oid in repo.refs.items() if name not in repo.tags}
        branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": oid} for n, oid in heads.items()]
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": repo.refs[n]} for n in sorted(repo.tags)]
        self.reply(200, {"branches": branches, "tags": tags, "converts": []})

    def add_tag(self, kind: str, name: str, revision: str, data: bytes, **_: Any) -> None:
        repo, tag = self.repo(kind, name, write=True), json.loads(data)["tag"]
        if tag in repo.refs:
            raise HubError(409, "Reference already exists")
        repo.refs[tag] = repo.resolve(revision)
        repo.tags.add(tag)
        self.reply(200, {})

    # Reading

    def tree(self, kind: str, name: str, revision: str, query: Query, path: str | None = None, **_: Any) -> None:
        repo = self.repo(kind, name)
        oid = repo.resolve(revision)
        recursive = query.get("recursive", ["0"])[0].lower() in ("1", "true")
        self.reply(200, repo.listing(oid, unquote(path or ""), recursive), {"X-Repo-Commit": oid})

    def paths_info(self, kind: str, name: str, revision: str, data: bytes, **_: Any) -> None:
        tree, out = (repo := self.repo(kind, name)).tree(revision), []
        for path in (asked.strip("/") for asked in parse_qs(data.decode()).get("paths", [])):
            if path in tree:
                out.append(repo.entry(path, *tree[path]))
            elif path and any(known.startswith(f"{path}/") for known in tree):
                out.append(folder_entry(path))
        self.reply(200, out)

    def resolve_file(self, name: str, revision: str, path: str, prefix: str | None = None, **_: Any) -> None:
        repo = self.repo(KINDS[prefix or ""], name)
        oid = repo.resolve(revision)
        if repo.gated and not self.known_user:
            raise HubError(401, "Access to this repo is restricted.", "GatedRepo")
        if (found := repo.commits[oid].get(unquote(path))) is None:
            raise HubError(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": oid})
        content, tag = found[0], f'"{file_oid(*found)}"'
        headers = {"X-Repo-Commit": oid, "ETag": tag, "X-Linked-Etag": tag, "X-Linked-Size": str(len(content))}
        headers |= {"Accept-Ranges": "bytes", "Content-Disposition": f'inline; filename="{Path(path).name}"'}
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if part is None or not (part[1] or part[2]):
            return self.reply(200, content, headers)
        size = len(content)
        start, end = (int(part[1]), int(part[2] or size - 1)) if part[1] else (max(0, size - int(part[2])), size - 1)
        end = min(end, size - 1)
        if start >= size:
            return self.reply(416, b"", {"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        return self.reply(206, content[start : end + 1], headers)

    # Writing

    def validate_yaml(self, **_: Any) -> None:
        self.reply(200, {"errors": [], "warnings": []})

    def preupload(self, kind: str, name: str, revision: str, data: bytes, **_: Any) -> None:
        repo = self.repo(kind, name, write=True)
        tree, out = repo.tree(revision), []
        for file in json.loads(data)["files"]:
            mode = "lfs" if file["path"].endswith(LFS) or file["size"] > 10_000_000 else "regular"
            old = file_oid(*tree[file["path"]]) if file["path"] in tree else None
            out.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": old})
        self.reply(200, {"files": out, "commitOid": repo.resolve(revision)})

    def lfs_batch(self, name: str, data: bytes, prefix: str | None = None, **_: Any) -> None:
        self.repo(KINDS[prefix or ""], name, write=True)
        out = []
        for item in json.loads(data)["objects"]:
            upload = {"actions": {"upload": {"href": f"{self.hub.url}/_lfs/{item['oid']}", "header": {}}}}
            known = item["oid"] in self.hub.blobs
            out.append({"oid": item["oid"], "size": item["size"]} | ({} if known else upload))
        self.reply(200, {"transfer": "basic", "objects": out}, {"Content-Type": "application/vnd.git-lfs+json"})

    def lfs_put(self, oid: str, data: bytes, **_: Any) -> None:
        if hashlib.sha256(data).hexdigest() != oid:
            raise HubError(400, "sha256 mismatch")
        self.hub.blobs[oid] = data
        self.reply(200, {})

    def commit(self, kind: str, name: str, revision: str, data: bytes, **_: Any) -> None:
        repo, ref = self.repo(kind, name, write=True), unquote(revision)
        operations = [json.loads(line) for line in data.splitlines() if line.strip()]
        head = next(o["value"] for o in operations if o["key"] == "header")
        if head.get("parentCommit") and head["parentCommit"] != repo.resolve(ref):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")

        def change(tree: Tree) -> None:
            for operation in operations:
                self.apply(tree, operation["key"], operation["value"])

        oid = repo.commit(ref, head.get("summary", ""), change)
        url = f"{self.hub.url}/{PREFIX[kind]}{name}/commit/{oid}"
        self.reply(200, {"success": True, "commitOid": oid, "commitUrl": url, "hookOutput": ""})

    def apply(self, tree: Tree, key: str, value: dict[str, Any]) -> None:
        if key == "file":
            tree[value["path"]] = (base64.b64decode(value["content"]), False)
        elif key == "lfsFile":
            if value["oid"] not in self.hub.blobs:
                raise HubError(400, f"lfs object {value['oid']} was not uploaded")
            tree[value["path"]] = (self.hub.blobs[value["oid"]], True)
        elif key == "deletedFile":
            if tree.pop(value["path"], None) is None:
                raise HubError(404, f"{value['path']} does not exist", "EntryNotFound")
        elif key != "header":
            raise HubError(400, f"no operation {key}")


NAME = r"(?P<name>[\w.\-]+/[\w.\-]+)"
API = rf"/api/(?P<kind>models|datasets|spaces)/{NAME}"
REVISION = r"(?P<revision>refs/(?:pr|convert)/[^/]+|[^/]+)"
ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", r"/api/whoami-v2", Handler.whoami),
    ("POST", r"/api/repos/create", Handler.create),
    ("POST", r"/api/validate-yaml", Handler.validate_yaml),
    ("PUT", rf"{API}/settings", Handler.settings),
    ("GET", API, Handler.info),
    ("GET", rf"{API}/revision/{REVISION}", Handler.info),
    ("GET", rf"{API}/refs", Handler.refs),
    ("GET", rf"{API}/tree/{REVISION}(?:/(?P<path>.*))?", Handler.tree),
    ("POST", rf"{API}/paths-info/{REVISION}", Handler.paths_info),
    ("POST", rf"{API}/preupload/{REVISION}", Handler.preupload),
    ("POST", rf"{API}/commit/{REVISION}", Handler.commit),
    ("POST", rf"{API}/tag/{REVISION}", Handler.add_tag),
    ("POST", rf"/(?P<prefix>datasets/|spaces/)?{NAME}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("PUT", r"/_lfs/(?P<oid>[0-9a-f]{64})", Handler.lfs_put),
    ("GET", rf"/(?P<prefix>datasets/|spaces/)?{NAME}/resolve/{REVISION}/(?P<path>.+)", Handler.resolve_file),
]

if __name__ == "__main__":
    server = Hub()
    for argument in sys.argv[1:]:
        repository, _, directory = argument.partition("=")
        type_, _, name = repository.partition(":")
        server.add_folder(type_, name, Path(directory))
    print(server.url, flush=True)
    server.server.serve_forever()
