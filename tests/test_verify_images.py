"""What images tell of a card that agrees with itself: every lie about how it was scored, and none about the truth."""

from __future__ import annotations

import json
import random
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from forged import Change
from scored import CONFIG, scored
from typer.testing import CliRunner

from igmu_data.errors import InputError, MetadataError, MissingToolError, VerificationError
from igmu_metrics.cli import app
from igmu_metrics.evaluation import Evaluation
from igmu_metrics.scorecard import Scorecard, fingerprint, read, write
from igmu_metrics.spaces import sampling
from igmu_metrics.verdict.signing import require_signer, sign
from igmu_metrics.verdict.verify import verify
from igmu_metrics.verdict.verify_images import verify_images


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored(tmp_path_factory.mktemp("scored"))


@pytest.fixture(scope="module")
def labels(folder: Path) -> str:
    return f"labels:{folder / 'labels.csv'}"


def forged(card: Path, place: Path, change: Change) -> Scorecard:
    """A changed card that agrees with itself all the same."""
    data = json.loads(card.read_text(encoding="utf-8"))
    change(data)
    data["content_sha256"] = fingerprint(json.dumps(data))
    path = place / "forged.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    found, problems = verify(path)
    assert problems == [], "a lie that the card alone tells needs no images"
    assert found is not None
    return found


def signed(field: str, value: Any) -> Change:
    def change(data: dict[str, Any]) -> None:
        for entry in data["scores"].values():
            entry["signature"][field] = value

    return change


def _version(data: dict[str, Any]) -> None:
    data["igmu_version"] = "99.0"
    signed("igmu", "99.0")(data)


def _failure(data: dict[str, Any]) -> None:
    data["failures"].append("unlearned model: a.png: cut off")
    for entry in data["scores"].values():
        entry["n_failed"] += 1


def _aligned(data: dict[str, Any]) -> None:
    data["generations"][0]["alignment"] = 0.5


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (signed("detector.threshold", 0.75), "signature.detector.threshold"),
        (signed("detector", "clip"), "signature.detector"),
        (signed("detector.revision", "0" * 40), "signature.detector.revision"),
        (signed("dataset", "another 2.0"), "signature.dataset"),
        (signed("dataset.revision", "main"), "signature.dataset.revision"),
        (signed("on_error", "skip"), "signature.on_error"),
        (signed("anything", 1), "signature.anything"),
        (_version, "signature.igmu"),
        (_failure, "failures"),
        (_aligned, "generations.0.alignment"),
        (lambda data: data["notes"].clear() or data["notes"].append("all is well"), "notes"),
        (lambda data: data["coverage"]["forget"].update(n_generations_asked=10**6), "coverage"),
        (lambda data: data["scores"].pop("attack_success_rate"), "scores.attack_success_rate"),
    ],
)
def test_a_lie_about_how_it_was_scored(folder: Path, labels: str, tmp_path: Path, change: Change, where: str) -> None:
    card = forged(folder / "cards" / "forgetful.json", tmp_path, change)
    problems = list(verify_images(card, folder / "forgetful", folder / "original", detector=labels))
    assert any(where in p.where for p in problems), problems


def test_signed_at_one_threshold_and_scored_at_another(folder: Path, labels: str, tmp_path: Path) -> None:
    evaluation = Evaluation(CONFIG, detector=labels, threshold=1.0, cache=False)
    (card,) = evaluation.run(folder / "original", [folder / "forgetful"])
    write(card, tmp_path / "card.json")
    lie = forged(tmp_path / "card.json", tmp_path, signed("detector.threshold", 0.5))
    problems = list(verify_images(lie, folder / "forgetful", folder / "original", detector=labels))
    assert {p.where.partition("signature.")[2] for p in problems} == {"detector.threshold"}


def test_seeds_that_were_left_out(folder: Path, labels: str) -> None:
    whole = read(folder / "cards" / "forgetful.json").generations
    bad = {key for key, g in zip(whole.keys, whole.records("split", "present"), strict=True)
           if g["split"] == "forget" and g["present"]}  # fmt: skip
    assert bad
    evaluation = Evaluation(CONFIG, detector=labels, only=frozenset(set(whole.keys) - bad), k=1, cache=False)
    (card,) = evaluation.run(folder / "original", [folder / "forgetful"])
    problems = list(verify_images(card, folder / "forgetful", folder / "original", detector=labels))
    missing = [p for p in problems if "there is no line for row" in p.what]
    assert len(missing) == len(bad)


def test_what_is_left_to_believe_is_said(folder: Path, labels: str) -> None:
    card = folder / "cards" / "forgetful.json"
    alone = CliRunner().invoke(app, ["verify", str(card)], catch_exceptions=False).output
    alone = " ".join(alone.split())
    assert "the scorecard is consistent (" in alone
    assert alone.endswith("for a full check, use --images DIR and --original-images DIR")
    arguments = ["--images", folder / "forgetful", "--original-images", folder / "original", "--detector", labels]
    done = CliRunner().invoke(app, ["verify", str(card), *map(str, arguments)], catch_exceptions=False).output
    done = " ".join(done.split())
    assert "scoring the images again gave the same lines, values and signatures" in done
    assert "are not checked" in done
    told = " ".join(CliRunner().invoke(app, ["verify", "--help"], env={"COLUMNS": "200"}).output.split())
    assert "Check that scorecards are consistent" in told
    assert "Invented lines cannot be detected without the images" in told
    for word in ("hold together", "holds together", "verified", "is true"):
        assert word not in alone + told


def _edited(data: dict[str, Any]) -> None:
    data["scores"]["concept_accuracy"]["figures"]["unlearning_accuracy"]["value"] = 0.0


def _without_provenance(data: dict[str, Any]) -> None:
    _edited(data)
    data["provenance"] = None


@pytest.mark.parametrize("exchanged", [False, True])
@pytest.mark.parametrize("change", [_edited, _without_provenance])
def test_an_edited_card_is_compared_with_its_images_nevertheless(
    folder: Path, tmp_path: Path, change: Change, exchanged: bool
) -> None:
    """It is caught by its own numbers; what its images say is told as well, as far as they can be scored."""
    shutil.copytree(folder, tmp_path / "copy")
    copy, path = tmp_path / "copy", tmp_path / "card.json"
    if exchanged:
        first, second = sorted((copy / "forgetful").rglob("*.png"))[:2]
        first.write_bytes(second.read_bytes())
    data = json.loads((folder / "cards" / "forgetful.json").read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")
    arguments = ["--images", copy / "forgetful", "--original-images", copy / "original"]
    words = ["verify", str(path), *map(str, arguments), "--detector", f"labels:{copy / 'labels.csv'}"]
    done = CliRunner().invoke(app, words)
    said = " ".join(done.stdout.split())
    assert isinstance(done.exception, VerificationError)
    assert "content_sha256: the content was changed" in said
    assert "unlearning_accuracy: the scorecard reports 0.0, but the value computed from its lines is" in said
    if change is _without_provenance:
        assert "compared with its images: images: the scorecard of forgetful does not record how it was made" in said
    elif exchanged:
        assert f"compared with its images: images: 1 of 174 images in {copy / 'forgetful'} is not the image" in said
        assert f"that was scored: {first.relative_to(copy / 'forgetful')}" in said
        assert "173 of the 174 lines have the images that were scored; scoring these images again gave the same" in said
    else:
        assert "unlearning_accuracy: the scorecard reports 0.0, but the value computed from its images is" in said
    told = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert told["result"]["files"][0]["scored_again"] is (change is _edited and not exchanged)


def test_options_that_no_evaluation_has(folder: Path, tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["provenance"]["options"] |= {"threshold": "much", "k": "x", "clip": 3}

    card = forged(folder / "cards" / "forgetful.json", tmp_path, change)
    with pytest.raises((MetadataError, InputError)):
        list(verify_images(card, folder / "forgetful", folder / "original"))


# --- a random sample --------------------------------------------------------------------------------------------------


def zipped(folder: Path, path: Path) -> str:
    with zipfile.ZipFile(path, "w") as out:
        for file in sorted(folder.rglob("*")):
            out.write(file, f"{folder.name}/{file.relative_to(folder)}")
    return str(path)


@pytest.mark.slow
def test_a_sample_of_the_images(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zips = [zipped(folder / name, tmp_path / f"{name}.zip") for name in ("forgetful", "original")]
    # Labels lie beside the images that they are of, so the zips are unpacked where they were when they were scored.
    place = tmp_path / "place"
    images, original = place / "a" / "forgetful", place / "b" / "original"
    shutil.copytree(folder / "forgetful", images)
    shutil.copytree(folder / "original", original)
    text = (folder / "labels.csv").read_text(encoding="utf-8")
    text = text.replace("\nforgetful/", "\na/forgetful/").replace("\noriginal/", "\nb/original/")
    (place / "labels.csv").write_text(text, encoding="utf-8")

    def made(labels: str) -> Path:
        (found,) = Evaluation(CONFIG, detector=f"labels:{place / labels}").run(original, [images])
        write(found, tmp_path / f"{labels}.json")
        return tmp_path / f"{labels}.json"

    card = made("labels.csv")
    # A liar who turns every answer over, and computes all figures anew.
    turned = text.replace("yes", "?").replace("no", "yes").replace("?", "no")
    (place / "turned.csv").write_text(turned, encoding="utf-8")
    lie = read(made("turned.csv")).model_copy(update={"provenance": read(card).provenance})
    write(lie, tmp_path / "lie.json")

    @contextmanager
    def emptied() -> Iterator[str]:
        for name in "ab":
            shutil.rmtree(place / name)
        yield str(place)

    monkeypatch.setattr(sampling.tempfile, "TemporaryDirectory", emptied)
    assert "Choose a scorecard" in sampling.resampled(None, *zips)
    assert "cannot be used here" in sampling.resampled(str(card), *zips), "a file of labels that only its owner has"
    known = {**sampling._KNOWN, "detector": frozenset({"labels:labels.csv"})}
    monkeypatch.setattr(sampling, "_KNOWN", known)
    monkeypatch.chdir(place)
    for _ in range(3):  # other samples, of unequal numbers of seeds
        assert "were scored again and are the same" in sampling.resampled(str(card), *zips, n=7)
    told = sampling.resampled(str(card), *zips, n=20)
    assert "20 randomly chosen lines were scored again and are the same" in told
    assert "12.2%" in told
    told = sampling.resampled(str(tmp_path / "lie.json"), *zips, n=10)
    assert told.startswith("Scoring the images again gives a different scorecard:")
    assert "probability" in told
    swapped = sampling.resampled(str(card), zips[1], zips[0])
    assert "are not the images that were scored" in swapped
    assert sampling.resampled(str(tmp_path / "original.zip"), *zips).startswith("Refused")


def test_zips_of_strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"

    def packed(name: str, data: bytes = b"x", mode: int = 0) -> Path:
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as out:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            out.writestr(info, data)
        return tmp_path / "a.zip"

    for name in ("../../x", "/etc/x", "a/../../x", "a\\..\\x"):
        with pytest.raises(InputError, match="is not a regular file within the zip"):
            sampling._unpacked(packed(name), place)
    with pytest.raises(InputError, match="is not a regular file within the zip"):
        sampling._unpacked(packed("a", b"/etc/passwd", stat.S_IFLNK | 0o777), place)
    monkeypatch.setattr(sampling, "MOST_BYTES", 1000)
    with pytest.raises(InputError, match="too large to be unpacked"):
        sampling._unpacked(packed("a.png", bytes(10**6)), tmp_path / "bomb")
    monkeypatch.setattr(sampling, "MOST_FILES", 0)
    with pytest.raises(InputError, match="at most 0"):
        sampling._unpacked(packed("a"), place)
    (tmp_path / "no.zip").write_bytes(random.Random(0).randbytes(100))
    with pytest.raises(InputError, match=r"no\.zip cannot be unpacked as a zip file"):
        sampling._unpacked(tmp_path / "no.zip", place)
    assert not [p for p in place.rglob("*") if p.is_file()]


# --- signatures -------------------------------------------------------------------------------------------------------


@pytest.fixture
def card(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(folder / "cards" / "forgetful.json", tmp_path))


def ssh_key(path: Path) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=60)
    return path


def test_a_card_is_signed_and_its_signer_checked(card: Path, tmp_path: Path) -> None:
    mine, other = ssh_key(tmp_path / "mine"), ssh_key(tmp_path / "other")
    with pytest.raises(MetadataError, match=r"the signature .* was not found"):
        require_signer(card, f"{mine}.pub")
    done = CliRunner().invoke(app, ["sign", str(card), "--key", str(mine)], catch_exceptions=False)
    assert done.output.strip() == f"{card}.sig"
    told = CliRunner().invoke(app, ["verify", str(card), "--signer", f"{mine}.pub"], catch_exceptions=False).output
    assert f"signed by {mine}.pub" in " ".join(told.split())
    assert "is consistent" in told
    with pytest.raises(VerificationError, match="not a valid signature by"):
        require_signer(card, f"{other}.pub")
    with pytest.raises(InputError, match=r"ends in \.pub"):
        require_signer(card, str(mine))
    card.write_text(card.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(VerificationError, match="not a valid signature by"):
        require_signer(card, f"{mine}.pub")
    assert sign(card, str(mine)).is_file(), "again"
    require_signer(card, f"{mine}.pub")


def test_every_card_is_checked_for_its_signature(card: Path, tmp_path: Path) -> None:
    """The first unsigned card ended the command, and nothing was said of the others."""
    mine = ssh_key(tmp_path / "mine")
    cards = tmp_path / "cards"
    cards.mkdir()
    for name in ("a-unsigned", "b-signed", "c-forged", "d-unsigned"):
        shutil.copy(card, cards / f"{name}.json")
    for name in ("b-signed", "c-forged"):
        sign(cards / f"{name}.json", str(mine))
    forged = cards / "c-forged.json"
    forged.write_text(forged.read_text(encoding="utf-8") + " ", encoding="utf-8")
    done = CliRunner().invoke(app, ["verify", str(cards), "--signer", f"{mine}.pub"])
    told = " ".join(done.output.split())
    assert isinstance(done.exception, VerificationError)
    assert done.exception.exit_code == 2
    for name in ("a-unsigned", "c-forged", "d-unsigned"):
        assert f"{name}.json: 1 problem" in str(done.exception)
        assert f"{name}.json: signature: " in told
    assert "b-signed" not in str(done.exception)
    assert "b-signed.json: signed by" in told
    assert "b-signed.json: the scorecard is consistent" in told
    assert told.count("was not found next to the scorecard") == 2
    assert "c-forged.json.sig is not a valid signature" in told
    found = CliRunner().invoke(app, ["verify", str(cards), "--signer", f"{mine}.pub", "--json"])
    answer = json.JSONDecoder().raw_decode(found.output)[0]["result"]
    assert [len(one["problems"]) for one in answer["files"]] == [1, 0, 1, 1]
    assert answer["signer"] is None


def test_a_signature_of_something_else_is_none_of_a_card(card: Path, tmp_path: Path) -> None:
    mine = ssh_key(tmp_path / "mine")
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", str(mine), "-n", "git", str(card)], check=True, timeout=60)
    with pytest.raises(VerificationError, match="not a valid signature by"):
        require_signer(card, f"{mine}.pub")


def test_an_edited_card_is_not_signed(card: Path, tmp_path: Path) -> None:
    card.write_text(card.read_text(encoding="utf-8").replace('"n_failed": 0', '"n_failed": 1', 1), encoding="utf-8")
    with pytest.raises(VerificationError):
        sign(card, str(tmp_path))
    assert not list(tmp_path.glob("*.sig"))


FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"
GPG = f"""#!/bin/sh
case "$*" in
*--detach-sign*) while [ "$1" != --output ]; do shift; done; echo signed > "$2" ;;
*--verify*) cat "$5" >/dev/null || exit 1; echo "[GNUPG:] VALIDSIG {FINGERPRINT} 2026 0 0 4 0 1 8 00 {FINGERPRINT}" ;;
esac
"""


def test_with_gnupg(card: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that answers as gpg does, for keys of gpg's own live in the user's home."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "gpg").write_text(GPG, encoding="utf-8")
    (tools / "gpg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    assert sign(card, FINGERPRINT) == card.with_name(f"{card.name}.asc")
    require_signer(card, FINGERPRINT)
    require_signer(card, FINGERPRINT[-16:].lower())
    with pytest.raises(VerificationError, match="not a valid signature by"):
        require_signer(card, "F" * 40)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="gpg is not installed"):
        require_signer(card, FINGERPRINT)
    (tmp_path / "key").touch()
    with pytest.raises(MissingToolError, match="ssh-keygen is not installed"):
        sign(card, str(tmp_path / "key"))
    for name in ("somebody", "../x", "-n", "--homedir=x"):
        with pytest.raises(InputError, match="must be an SSH key file or the fingerprint of a GnuPG key"):
            sign(card, name)
        with pytest.raises(InputError, match="must be an SSH public key file or a GnuPG fingerprint"):
            require_signer(card, name)
