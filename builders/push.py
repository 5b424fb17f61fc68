"""`python -m builders.push dist/hub`: says what would be uploaded to the Hub; with `--confirm`, uploads it.

The only file of igmu that asks for a token (`huggingface_hub.get_token`: `HF_TOKEN`, or the one saved by `hf auth
login`). A folder `dist/hub/<owner>/<name>` becomes the repository `<owner>/<name>`; what it is, its README says: `sdk:`
makes it a Space, `configs:` a dataset, `extra_gated_prompt:` a gated one. A folder goes up only if every file is what
its manifest says. What the folder no longer has is removed from the repository as well, since configs are globs and
would gather files left over from an older build; submitted scorecards stay. Pushing the same again makes no commit.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from igmu_data.errors import ChecksumError, EmptyInputError, IgmuError, MetadataError, UnknownNameError, exits_on_error
from igmu_data.files import sha256

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MANIFEST: Final = "manifest.json"
# Not ours to remove: what the Hub writes about LFS in a new repository; what others submit to the leaderboard's Space.
_NOT_OURS: Final = (".gitattributes", "scorecards/")
_PATIENCE: Final = 10.0  # seconds
_EVALUATE_TAG: Final = re.compile(r"v0\.4\.\d+.*")


class PushError(IgmuError):
    """The Hub did not take what was sent."""


class TokenError(PushError):
    """No token, or one that the Hub does not know."""


class TagError(PushError):
    """A tag that must not be set."""


class UnknownRepositoryError(UnknownNameError):
    """No folder is built for this repository."""

    kind = "repository"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that becomes a repository.

    Args:
        repo_id: `owner/name`.
        repo_type: `dataset` or `space`.
        gated: whether readers must ask for access.
        path: the folder.
        digests: SHA-256 of every file by its path in the repository.
        n_bytes: size of all files.
    """

    repo_id: str
    repo_type: str
    gated: bool
    path: Path
    digests: Mapping[str, str]
    n_bytes: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What the Hub's repository lacks, has otherwise, and has beside what the folder holds.

    Args:
        exists: whether the repository is there.
        new: paths that it lacks.
        changed: paths with other content.
        gone: paths that the folder no longer has.
    """

    exists: bool
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone)

    def __str__(self) -> str:
        parts = {"new": self.new, "changed": self.changed, "removed": self.gone}
        counts = ", ".join(f"{len(paths)} {what}" for what, paths in parts.items() if paths) or "unchanged"
        return counts if self.exists else f"new repository, {counts}"


def folders(root: Path, only: Sequence[str] = ()) -> list[Folder]:
    """The folders under `root` that are to become repositories, checked against their manifests.

    Args:
        root: holds `<owner>/<name>`.
        only: repository ids; empty for all.

    Raises:
        EmptyInputError: nothing was built there.
        UnknownRepositoryError: an id without a folder.
        ChecksumError: a file that is missing, changed, or not in the manifest.
        MetadataError: a README that tells neither a dataset nor a Space.
    """
    found = {f"{p.parent.name}/{p.name}": p for p in sorted(root.glob("[!.]*/[!.]*")) if p.is_dir()}
    if not found:
        raise EmptyInputError(f"{root}: no folder owner/name. Run 'python -m builders.bench --out {root}' first.")
    for name in only:
        if name not in found:
            raise UnknownRepositoryError(name, found, f"Built under {root}: {', '.join(found)}.")
    return [_folder(name, path) for name, path in found.items() if not only or name in only]


def _folder(repo_id: str, path: Path) -> Folder:
    header = _header(path)
    if "sdk" not in header and "configs" not in header:
        raise MetadataError(f"{path}/README.md: neither 'sdk:' (a Space) nor 'configs:' (a dataset) in its YAML.")
    digests = _checked(path)
    n_bytes = sum((path / name).stat().st_size for name in digests)
    kind = "space" if "sdk" in header else "dataset"
    return Folder(repo_id, kind, "extra_gated_prompt" in header, path, digests, n_bytes)


def _header(path: Path) -> dict[str, Any]:
    import yaml

    readme = path / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    block = re.match(r"---\n(.*?)\n---\n", text, re.S)
    if block is None:
        raise MetadataError(f"{readme}: no YAML block at its start, so nobody knows what the folder is. Build it anew.")
    return dict(yaml.safe_load(block[1]))


def _checked(path: Path) -> dict[str, str]:
    """SHA-256 of every file, the manifest's own included, if the manifest lists just these."""
    again = "Build the folder anew; it is not edited by hand."
    try:
        listed = dict(json.loads((path / MANIFEST).read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ChecksumError(f"{path / MANIFEST}: no list of files in it ({error!r}). {again}") from error
    present = {p.relative_to(path).as_posix(): sha256(p) for p in sorted(path.rglob("*")) if p.is_file()}
    own = {MANIFEST: present.pop(MANIFEST)}
    for name in sorted({*listed, *present}):
        if listed.get(name) != present.get(name):
            what = "is missing" if name not in present else "is not listed" if name not in listed else "was changed"
            raise ChecksumError(f"{path / name} {what}: the manifest says {listed.get(name)}. {again}")
    return present | own


def difference(api: HfApi, folder: Folder) -> Difference:
    """Compare a folder with the Hub's `main`, by content hashes; reads only."""
    from huggingface_hub.errors import RepositoryNotFoundError
    from huggingface_hub.hf_api import RepoFile

    try:
        # Listing retries for half a minute when nobody answers; this does not.
        api.repo_info(folder.repo_id, repo_type=folder.repo_type, timeout=_PATIENCE)
        items = list(api.list_repo_tree(folder.repo_id, recursive=True, repo_type=folder.repo_type))
    except RepositoryNotFoundError:
        return Difference(False, new=tuple(folder.digests))
    remote = {item.path: item for item in items if isinstance(item, RepoFile) and not item.path.startswith(_NOT_OURS)}
    new = tuple(path for path in folder.digests if path not in remote)
    changed = tuple(path for path in folder.digests if path in remote and not _same(folder, path, remote[path]))
    return Difference(True, new, changed, tuple(path for path in remote if path not in folder.digests))


def _same(folder: Folder, path: str, remote: Any) -> bool:
    if remote.lfs:
        return bool(remote.lfs.sha256 == folder.digests[path])
    from huggingface_hub.utils.sha import git_hash

    return bool(git_hash((folder.path / path).read_bytes()) == remote.blob_id)


def check_tag(tag: str, chosen: Sequence[Folder]) -> None:
    """Raise `TagError` for a tag that would break loading, or that no repository would get."""
    spaces = [f.repo_id for f in chosen if f.repo_type == "space"]
    if spaces and _EVALUATE_TAG.fullmatch(tag):
        raise TagError(
            f"{spaces[0]}: a Space never gets a tag {tag!r}. evaluate 0.4.x looks for its own version among a Space's "
            "tags before main, and would load that commit for ever. Push the datasets alone with --only."
        )
    if len(spaces) == len(chosen):
        raise TagError(f"tag {tag!r}: only datasets are tagged, and none was chosen. Add one with --only.")


def check_published(api: HfApi, folder: Folder, changes: Difference, tag: str) -> None:
    """Raise `TagError` if the tag is on another content: published rows are never edited, so tags do not move."""
    if changes and changes.exists and tag in _tags(api, folder):
        raise TagError(f"{folder.repo_id}: {tag!r} is published with other content. Raise the version and build again.")


def _tags(api: HfApi, folder: Folder) -> set[str]:
    return {ref.name for ref in api.list_repo_refs(folder.repo_id, repo_type=folder.repo_type).tags}


def push(api: HfApi, folder: Folder, changes: Difference, tag: str | None) -> str:
    """Create, gate, upload and tag one repository, each only as far as it is not done yet; what was done."""
    name, kind = folder.repo_id, folder.repo_type
    if not changes.exists:
        api.create_repo(name, repo_type=kind, space_sdk="gradio" if kind == "space" else None)
    if folder.gated and not api.repo_info(name, repo_type=kind).gated:
        api.update_repo_settings(name, repo_type=kind, gated="auto")  # before there is a file to be read
    if changes:
        gone = [glob.escape(path) for path in changes.gone]
        api.upload_folder(
            repo_id=name, repo_type=kind, folder_path=folder.path, commit_message="igmu: update", delete_patterns=gone
        )
    if tag is None or kind != "dataset" or tag in _tags(api, folder):
        return str(changes)
    api.create_tag(name, repo_type=kind, tag=tag)
    return f"{changes}, tagged {tag}"


@contextmanager
def _hub_errors() -> Iterator[None]:
    """What the Hub or the network says, as one of our errors."""
    from huggingface_hub.errors import HfHubHTTPError

    # httpx.HTTPError or httpx2.HTTPError, whichever this huggingface_hub is made with.
    transport_error: Any = HfHubHTTPError.__bases__[0]
    try:
        yield
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            raise TokenError(
                "the Hub does not know this token, or it is not given. Run 'hf auth login', or set HF_TOKEN."
            ) from error
        raise PushError(f"the Hub answers {status}: {error.server_message or error}") from error
    except (transport_error, OSError) as error:
        raise PushError(f"the Hub cannot be reached: {error}. Try again when it can.") from error


@exits_on_error
def main(
    root: Annotated[Path, typer.Argument(help="Parent of the folders owner/name.")],
    confirm: Annotated[bool, typer.Option("--confirm", help="Upload; without it nothing is sent.")] = False,
    revision_tag: Annotated[str | None, typer.Option(help="Tag for the datasets, such as v0.1.0.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Repository (igmu/bench); repeat the option for each.")] = None,
) -> None:
    """Show what would go to the Hub and, with --confirm, send it."""
    _run(root, confirm, revision_tag, only or [])


def _run(root: Path, confirm: bool, tag: str | None, only: Sequence[str]) -> None:
    from huggingface_hub import HfApi, get_token
    from rich.console import Console
    from rich.table import Table

    chosen = folders(root, only)
    if tag:
        check_tag(tag, chosen)
    token = get_token()
    api = HfApi(token=token or False)
    if confirm:
        if not token:
            raise TokenError("no token to write with. Run 'hf auth login', or set HF_TOKEN.")
        with _hub_errors():
            api.whoami()
    plan = [(folder, _compared(api, folder, must=confirm)) for folder in chosen]
    for folder, changes in plan:
        if tag and folder.repo_type == "dataset" and isinstance(changes, Difference):
            with _hub_errors():
                check_published(api, folder, changes, tag)
    table = Table("repository", "type", "files", "bytes", "done" if confirm else "would change")
    for folder, changes in plan:
        outcome = str(changes) if isinstance(changes, Difference) else f"not compared: {changes}"
        if confirm and isinstance(changes, Difference):
            with _hub_errors():
                outcome = push(api, folder, changes, tag)
        kind = folder.repo_type + (", gated" if folder.gated else "")
        table.add_row(folder.repo_id, kind, f"{len(folder.digests)}", f"{folder.n_bytes:,}", outcome)
    Console(width=120).print(table)
    if not confirm:
        typer.echo("Nothing was sent. Add --confirm to upload.")


def _compared(api: HfApi, folder: Folder, *, must: bool) -> Difference | PushError:
    """The difference; where it need not be known, else why it is not."""
    try:
        with _hub_errors():
            return difference(api, folder)
    except PushError as error:
        if must:
            raise
        return error


if __name__ == "__main__":
    typer.run(main)
