"""The packaged models: parts put together into folders, and the specs that name them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import sample_images
from tiny_sandbox import UNET, tiny_package

from igmu_data.errors import OutputError, UnknownTaskError, UnknownVersionError, WeightsError
from igmu_data.sandbox import packaged
from igmu_metrics import registry
from igmu_metrics.images.generate import Request, draw
from igmu_metrics.images.pipelines import find_pipeline


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_package(tmp_path_factory.mktemp("package"))


@pytest.fixture
def package(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package with a cache of its own; not to be changed by a test."""
    monkeypatch.setenv("IGMU_SANDBOX", str(made))
    monkeypatch.setenv("IGMU_CACHE", str(tmp_path / "cache"))
    return made


@pytest.fixture
def copied(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IGMU_SANDBOX", str(tmp_path / "copy"))
    return shutil.copytree(package, tmp_path / "copy")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_has_the_parts_that_its_version_lists(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = packaged.model_folder("gold", "object/church")
    expected: dict[str, bytes] = {}
    for place, name in (
        ("vae", "vae"),
        ("scheduler", "scheduler"),
        ("tokenizer", "tokenizer"),
        ("text_encoder", "text_encoder-original"),
        ("unet", "unet-gold"),
    ):
        own = contents(package / "models" / name)
        expected |= {f"{place}/{file}": data for file, data in own.items()}
    found = contents(folder)
    index = json.loads(found.pop("model_index.json"))
    assert found == expected
    assert index == json.loads((package / "models" / "model_index.json").read_text())
    assert (index["safety_checker"], index["feature_extractor"]) == ([None, None], [None, None])
    assert index["requires_safety_checker"] is False
    assert not any(p.is_symlink() for p in folder.rglob("*"))
    assert folder.parent == tmp_path / "cache" / "sandbox"
    assert packaged.model_folder("gold", "church") == folder
    monkeypatch.setenv("IGMU_CACHE", str(tmp_path / "else"))
    assert packaged.model_folder("gold", "church").is_relative_to(tmp_path / "else")


def test_a_part_with_changes_is_the_one_with_tensors_of_the_other(package: Path) -> None:
    folder = packaged.model_folder("esd", "church")
    before = load_file(package / "models" / "unet-original" / UNET)
    changes = load_file(package / "models" / "unet-esd" / packaged.CHANGES)
    after = load_file(folder / "unet" / UNET)
    assert 0 < len(changes) < len(before)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], changes.get(name, tensor)) for name, tensor in before.items())
    assert any(not torch.equal(before[name], tensor) for name, tensor in changes.items())
    assert {p.name for p in (folder / "unet").iterdir()} == {UNET, "config.json"}


def test_the_filter_still_filters(package: Path) -> None:
    text = "a church by the sea"
    blocked = find_pipeline("sandbox:filter/church", device="cpu").load().tokenizer
    plain = find_pipeline("sandbox:original", device="cpu").load().tokenizer
    assert blocked(text).input_ids == plain("a by the sea").input_ids != plain(text).input_ids


def test_where_folders_are_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("IGMU_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert packaged.cache_folder() == Path.home() / ".cache" / "igmu"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert packaged.cache_folder() == tmp_path / "igmu"
    monkeypatch.setenv("IGMU_CACHE", str(tmp_path / "own"))
    assert packaged.cache_folder() == tmp_path / "own"


def test_a_complete_folder_is_not_written_again(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = packaged.model_folder("esd", "church")

    def copyfile(source: object, target: object) -> None:
        raise AssertionError("copied again")

    monkeypatch.setattr(shutil, "copyfile", copyfile)
    assert packaged.model_folder("esd", "church") == first


def test_other_weights_get_another_folder(copied: Path) -> None:
    before = packaged.model_folder("esd", "church")
    changes = copied / "models" / "unet-esd" / packaged.CHANGES
    save_file({name: tensor + 1 for name, tensor in load_file(changes).items()}, changes)
    after = packaged.model_folder("esd", "church")
    assert after != before
    assert (after / "unet" / UNET).read_bytes() != (before / "unet" / UNET).read_bytes()
    assert packaged.model_folder("original").name.startswith("original-")


def test_a_folder_that_lost_a_file_is_made_whole(package: Path) -> None:
    folder = packaged.model_folder("gold", "church")
    whole = contents(folder)
    (folder / "vae" / "config.json").unlink()
    (folder / "unet" / "config.json").write_text("{}")
    assert packaged.model_folder("gold", "church") == folder
    assert contents(folder) == whole
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]  # nothing is left beside it


@pytest.mark.parametrize("version", ["gold", "esd"])
def test_a_flipped_bit_in_the_cache_is_mended(package: Path, version: str) -> None:
    """Sizes stay the same: only contents tell."""
    folder = packaged.model_folder(version, "church")
    whole = contents(folder)
    for name in sorted(whole):
        data = bytearray(whole[name])
        data[len(data) // 2] ^= 4
        (folder / name).write_bytes(data)
        assert packaged.model_folder(version, "church") == folder
        assert contents(folder) == whole, name


def test_many_at_once_get_one_whole_folder(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.copyfile

    def slow(source: Path, target: Path) -> None:
        time.sleep(0.002)
        real(source, target)

    monkeypatch.setattr(shutil, "copyfile", slow)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: packaged.model_folder("gold", "church"), range(8)))
    (folder,) = found
    assert contents(folder / "unet") == contents(package / "models" / "unet-gold")
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_a_kill_leaves_no_half_folder(package: Path, tmp_path: Path) -> None:
    code = (
        "import os, shutil\nfrom igmu_data.sandbox import packaged\nreal, n = shutil.copyfile, []\n"
        "def dying(source, target):\n    n.append(real(source, target))\n    len(n) == 3 and os._exit(9)\n"
        "shutil.copyfile = dying\npackaged.model_folder('gold', 'church')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env=os.environ).returncode == 9
    assert not list((tmp_path / "cache" / "sandbox").glob("gold-*"))
    folder = packaged.model_folder("gold", "church")
    assert contents(folder / "unet") == contents(package / "models" / "unet-gold")


def test_a_cache_that_cannot_be_written(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with monkeypatch.context() as other:
        other.setenv("IGMU_CACHE", str(tmp_path / "file"))
        with pytest.raises(OutputError, match="IGMU_CACHE"):
            packaged.model_folder("original")

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OutputError, match="No space left on device"):
        packaged.model_folder("original")
    assert list((tmp_path / "cache" / "sandbox").iterdir()) == []


@pytest.mark.parametrize(
    ("version", "task", "error", "says"),
    [
        ("orginal", None, UnknownVersionError, "did you mean 'original'"),
        ("", None, UnknownVersionError, "sandbox:original"),
        ("esd", "chruch", UnknownTaskError, "did you mean .*'church'"),
        ("original", "chruch", UnknownTaskError, "did you mean .*'church'"),
        ("esd", "style/church", UnknownTaskError, "did you mean .*'object/church'"),
        ("esd", None, UnknownTaskError, "sandbox:esd/church or sandbox:esd/van-gogh"),
    ],
)
def test_wrong_names_get_a_suggestion(
    package: Path, version: str, task: str | None, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        packaged.model_folder(version, task)


def test_a_package_without_models_says_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: Path
) -> None:
    (copied / "models" / "model_index.json").unlink()
    with pytest.raises(WeightsError, match=r"model_index\.json is missing. Run: python -m builders.sandbox"):
        packaged.model_folder("original")
    shutil.rmtree(copied / "models" / "unet-original")
    with pytest.raises(WeightsError, match="incomplete"):
        packaged.part("unet-original")
    (copied / "models" / "versions.json").write_text('{"original": ["vae"]}')
    with pytest.raises(WeightsError, match="contains no valid entry for 'original'"):
        packaged.model_folder("original")
    monkeypatch.setenv("IGMU_SANDBOX", str(tmp_path / "nothing"))
    for call in (lambda: packaged.model_folder("original"), lambda: packaged.part("clip")):
        with pytest.raises(WeightsError, match=r"no sandbox models.*python -m builders\.sandbox"):
            call()


def test_the_package_itself_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IGMU_SANDBOX", raising=False)
    assert packaged.bench_folder() == Path(packaged.__file__).parent / "bench"


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from igmu_data.sandbox import packaged; assert not {'torch', 'PIL', 'datasets'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- specs --------------------------------------------------------------------------------------------------------


def test_a_pipeline_by_its_name(package: Path, tmp_path: Path) -> None:
    found = find_pipeline("sandbox:esd/church", device="cpu")
    assert (found.name, found.dtype) == ("sandbox:esd/church", "fp32")
    assert found.revision.startswith("sha256:")
    assert found.revision != find_pipeline("sandbox:gold/church", device="cpu").revision
    assert find_pipeline(f"sandbox:esd/church@{found.revision}").revision == found.revision
    assert find_pipeline("sandbox:original/van-gogh").name == "sandbox:original"  # it has forgotten nothing
    with pytest.raises(WeightsError, match="not sha256:0"):
        find_pipeline("sandbox:esd/church@sha256:0")
    with pytest.raises(UnknownVersionError, match="'esd'"):
        find_pipeline("sandbox:eds/church")

    drawn = draw([Request("a", 1, "a church", 7.5, 1, 16, 16)], found, tmp_path / "drawn")
    (line,) = (tmp_path / "drawn" / "metadata.jsonl").read_text().splitlines()
    assert len(drawn.files) == 1
    assert (json.loads(line)["model"], json.loads(line)["revision"]) == (found.name, found.revision)


def test_weights_stored_in_half_precision_are_used_in_single(package: Path) -> None:
    stored = load_file(packaged.model_folder("esd", "church") / "unet" / UNET)
    assert {t.dtype for t in stored.values()} == {torch.float16}
    pipe = find_pipeline("sandbox:esd/church", device="cpu").load()
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        assert {p.dtype for p in part.parameters()} == {torch.float32}
    used = pipe.unet.state_dict()
    assert used.keys() == stored.keys()
    assert all(torch.equal(used[name], tensor.float()) for name, tensor in stored.items())


def test_the_packaged_clip(package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = registry.backbone("clip:sandbox", device="cpu")
    other = registry.backbone(f"clip:{package / 'models' / 'clip'}", device="cpu")
    assert own.info.name == "clip:sandbox"
    assert own.info.revision == other.info.revision
    image = sample_images(1)
    assert own.image_features(image).tolist() == other.image_features(image).tolist()
    assert registry.detector("clip:sandbox", device="cpu").info.name == "clip:sandbox"
    shutil.copytree(package / "models" / "clip", tmp_path / "sandbox")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IGMU_SANDBOX", str(tmp_path / "nothing"))
    assert registry.backbone("clip:./sandbox", device="cpu").info.revision == own.info.revision
    with pytest.raises(WeightsError, match="no sandbox models"):
        registry.backbone("clip:sandbox", device="cpu")
