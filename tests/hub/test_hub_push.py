"""`python -m builders.push` against a local Hub: shows, uploads, and does nothing twice."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import Hub

from builders import spaces
from igmu_data.errors import ChecksumError

pytestmark = pytest.mark.hub
Push = Callable[..., subprocess.CompletedProcess[str]]
FORGET = "object/structure/church/forget-00000-of-00001.parquet"


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def bench_only(folders: Path, tmp_path: Path) -> Path:
    """A copy with `igmu/bench` alone, to be spoilt."""
    shutil.copytree(folders / "igmu/bench", tmp_path / "dist/igmu/bench")
    return tmp_path / "dist"


@pytest.mark.slow
def test_dry_run_then_confirm_then_nothing_left_to_do(folders: Path, hub: Hub, push: Push) -> None:
    dry = push(hub, folders)
    assert dry.returncode == 0, dry.stderr
    for name in ("bench", "bench-nsfw", *spaces.names()):
        assert f"igmu/{name} " in dry.stdout
    assert dry.stdout.count("new repository") == 2 + len(spaces.names())
    assert "Nothing was sent" in dry.stdout
    assert hub.log
    assert hub.writes == []
    assert hub.repos == {}

    sent = push(hub, folders, "--confirm", "--revision-tag", "v0.1.0")
    assert sent.returncode == 0, sent.stderr
    datasets = {"bench", "bench-nsfw"}
    assert set(hub.repos) == {
        ("datasets" if name in datasets else "spaces", f"igmu/{name}") for name in (*datasets, *spaces.names())
    }
    for kind, name in hub.repos:
        repo = hub.repos[kind, name]
        assert hub.files(kind.removesuffix("s"), name) == contents(folders / name)
        assert repo.gated == ("auto" if name == "igmu/bench-nsfw" else False)
        assert repo.sdk == ("gradio" if kind == "spaces" else "")
        assert repo.tags == ({"v0.1.0"} if kind == "datasets" else set()), "Spaces are not tagged"
        assert len(repo.history) == 2, "one commit on top of the initial one"
    gate = next(i for i, (_, path, _) in enumerate(hub.writes) if path.endswith("bench-nsfw/settings"))
    upload = next(i for i, (_, path, _) in enumerate(hub.writes) if "bench-nsfw" in path and "/commit/" in path)
    assert gate < upload, "gated before there is a file to read"

    before = len(hub.writes)
    again = push(hub, folders, "--confirm", "--revision-tag", "v0.1.0")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("unchanged") == len(hub.repos)
    assert hub.writes[before:] == []


@pytest.mark.slow
def test_only_what_changed_is_sent(bench_only: Path, hub: Hub, push: Push) -> None:
    from igmu_data.stored import write_manifest

    bench = bench_only / "igmu/bench"
    assert push(hub, bench_only, "--confirm", "--revision-tag", "v0.1.0").returncode == 0
    (bench / "README.md").write_text((bench / "README.md").read_text() + "\nMore.\n")
    shutil.rmtree(bench / "object/structure/castle")
    write_manifest(bench, {})
    dry = push(hub, bench_only)
    assert "2 changed, 3 removed" in dry.stdout, dry.stdout

    moved = push(hub, bench_only, "--confirm", "--revision-tag", "v0.1.0")
    assert moved.returncode == 2
    assert moved.stderr.startswith("TagError: igmu/bench: 'v0.1.0' is published with other content")
    assert len(hub.repos["datasets", "igmu/bench"].history) == 2

    blobs = set(hub.blobs)
    assert push(hub, bench_only, "--confirm", "--revision-tag", "v0.1.1").returncode == 0
    assert hub.files("dataset", "igmu/bench") == contents(bench)
    assert set(hub.blobs) == blobs, "no Parquet file is sent twice"
    assert "object/structure/castle/forget-00000-of-00001.parquet" in hub.files("dataset", "igmu/bench", "v0.1.0")


def test_submitted_scorecards_stay(hub: Hub, push: Push, tmp_path: Path) -> None:
    """Cards come by pull request into the Space itself; another old file goes, whatever its name means as a pattern."""
    space = tmp_path / "dist/igmu/leaderboard"
    spaces.write("leaderboard", space, manifest=True)
    submitted = {"scorecards/object.church/esd.json": b"{}"}
    shutil.copytree(space, tmp_path / "there")
    for name in (*submitted, "old[a-z].py"):
        (tmp_path / "there" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "there" / name).write_bytes(b"{}")
    hub.add_folder("space", "igmu/leaderboard", tmp_path / "there")
    assert "1 removed" in push(hub, tmp_path / "dist").stdout
    assert push(hub, tmp_path / "dist", "--confirm").returncode == 0
    assert hub.files("space", "igmu/leaderboard") == contents(space) | submitted
    assert "unchanged" in push(hub, tmp_path / "dist", "--confirm").stdout


@pytest.mark.parametrize("how", ["changed", "missing", "extra", "no manifest"])
def test_a_folder_that_is_not_its_manifest_is_refused(bench_only: Path, how: str) -> None:
    from builders.push import folders

    bench = bench_only / "igmu/bench"
    spoilt = {"extra": "object/notes.txt", "no manifest": "manifest.json"}.get(how, FORGET)
    if how == "changed":
        data = bytearray((bench / FORGET).read_bytes())
        data[100] ^= 1
        (bench / FORGET).write_bytes(data)
    elif how == "extra":
        (bench / spoilt).write_text("left behind")
    else:
        (bench / spoilt).unlink()
    with pytest.raises(ChecksumError, match=re.escape(spoilt)):
        folders(bench_only)


def test_nothing_is_asked_or_sent_with_a_wrong_manifest(bench_only: Path, hub: Hub, push: Push) -> None:
    (bench_only / "igmu/bench" / FORGET).unlink()
    done = push(hub, bench_only, "--confirm")
    assert done.returncode == 2
    assert done.stderr.startswith("ChecksumError: ")
    assert "Traceback" not in done.stderr
    assert hub.log == []


@pytest.mark.parametrize(
    ("options", "token", "message"),
    [
        (["--confirm"], "", "TokenError: no token"),
        (["--confirm"], "hf_wrong", "TokenError: the Hub does not know this token"),
        (["--confirm", "--revision-tag", "v0.4.6"], "hf_test", "TagError: igmu/"),
        (["--confirm", "--revision-tag", "v0.1.0", "--only", "igmu/lpips"], "hf_test", "TagError: tag 'v0.1.0'"),
        (
            ["--only", "igmu/bnech"],
            "hf_test",
            "UnknownRepositoryError: there is no repository 'igmu/bnech'; did you mean",
        ),
    ],
)
def test_refusals(folders: Path, hub: Hub, push: Push, options: list[str], token: str, message: str) -> None:
    done = push(hub, folders, *options, token=token)
    assert done.returncode == 2
    assert done.stderr.startswith(message), done.stderr
    assert "Traceback" not in done.stderr
    assert hub.writes == []
    assert hub.repos == {}


def test_a_dataset_may_have_the_tag_that_a_space_may_not(folders: Path, hub: Hub, push: Push) -> None:
    assert push(hub, folders, "--confirm", "--revision-tag", "v0.4.6", "--only", "igmu/bench").returncode == 0
    assert hub.repos["datasets", "igmu/bench"].tags == {"v0.4.6"}


def test_without_a_hub_the_dry_run_still_says_what_there_is(folders: Path, push: Push) -> None:
    with Hub() as gone:
        pass
    done = push(gone, folders, "--only", "igmu/bench")
    assert done.returncode == 0
    assert "not compared: the Hub cannot be reached" in " ".join(done.stdout.split())
    refused = push(gone, folders, "--confirm", "--only", "igmu/bench")
    assert refused.returncode == 2
    assert refused.stderr.startswith("PushError: the Hub cannot be reached")
