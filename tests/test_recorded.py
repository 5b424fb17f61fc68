"""Recorded tables give the recorded figures; real cards of schema 2 are read, compared and verified."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from recorded.record import CASES, HERE, figures

from igmu_metrics import generations
from igmu_metrics.scorecard import Scorecard, read, write
from igmu_metrics.verdict import recompute
from igmu_metrics.verdict.compare import compared
from igmu_metrics.verdict.verify import verify

OLD = sorted((HERE / "schema2").glob("*.json.gz"))


@pytest.mark.parametrize("case", CASES)
def test_the_figures_of_a_table_are_those_that_were_recorded(case: str) -> None:
    found = figures(generations.read(HERE / f"{case}.parquet")[0])
    known = json.loads((HERE / f"{case}.figures.json").read_text())
    assert found.keys() == known.keys()
    for score, by_name in known.items():
        assert found[score].keys() == by_name.keys()
        # A decomposition of other libraries may round its last digits differently.
        near: dict[str, float] = {"rel": 1e-7, "abs": 1e-7} if score.startswith("frechet") else {"rel": 1e-12}
        for name, told in by_name.items():
            got = found[score][name]
            for ends in (
                (got["value"], told["value"]),
                *zip(got["interval"] or (), told["interval"] or (), strict=True),
            ):
                assert ends[0] == (ends[1] if ends[1] is None else pytest.approx(ends[1], **near)), (score, name)
            assert {k: v for k, v in got.items() if k.startswith(("n_", "reason"))} == {
                k: v for k, v in told.items() if k.startswith(("n_", "reason"))
            }


def unpacked(path: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    text = gzip.decompress(path.read_bytes())
    out = folder / path.name.removesuffix(".gz")
    out.write_bytes(text)
    return out, json.loads(text)


@pytest.mark.parametrize("path", OLD, ids=lambda p: p.name)
def test_a_card_of_schema_2_is_read_and_holds_together(path: Path, tmp_path: Path) -> None:
    place, old = unpacked(path, tmp_path)
    card = read(place)
    assert (old["schema_version"], card.schema_version, card.target) == (2, 3, old["target"])
    for line, g in zip(old["generations"], card.generations.records(), strict=True):
        assert (g["id"], g["seed"], g["split"], g["probe"]) == tuple(line[k] for k in ("id", "seed", "split", "probe"))
        assert (g["concept"], g["own_concept"]) == (old["target"], line["concept"])
        assert (g["attack_family"], g["attack_source_id"]) == (line["family"], line["source_id"])
        for new, former in (("", "{}"), ("_original", "original_{}")):
            for name, was in (("probability", "probability"), ("present", "present"), ("sha256", "image_sha256")):
                assert g[f"{name}{new}"] == line[former.format(was)]
    assert verify(place)[1] == []
    # Metrics have changed since; what they said then is not computed again, and that is said.
    assert any("scored by version 2 of its metric" in note for note in recompute.notes(card))


def test_a_digit_of_a_card_of_schema_2_is_missed_by_its_hash(tmp_path: Path) -> None:
    place, old = unpacked(OLD[0], tmp_path)
    old["scores"]["concept_accuracy"]["figures"]["unlearning_accuracy"]["value"] -= 0.001
    place.write_text(json.dumps(old))
    assert {p.where for p in verify(place)[1]} >= {"content_sha256"}


def test_old_and_new_cards_are_written_in_the_new_schema_and_compared(tmp_path: Path) -> None:
    cards = [read(unpacked(p, tmp_path)[0]) for p in OLD if p.name.startswith("church")]
    again: list[Scorecard] = []
    for card in cards:
        write(card, tmp_path / "new.json")
        again.append(read(tmp_path / "new.json"))
        assert verify(tmp_path / "new.json")[1] == []
    assert [c.generations for c in again] == [c.generations for c in cards]
    assert compared(again) == compared(cards)
    assert compared([cards[0], again[1]]) == compared(cards[:2])


@pytest.mark.parametrize("version", [1, 4, "3", None])
def test_another_schema_is_refused(tmp_path: Path, version: Any) -> None:
    from igmu_data.errors import MetadataError

    place, old = unpacked(OLD[0], tmp_path)
    place.write_text(json.dumps({**old, "schema_version": version}))
    with pytest.raises(MetadataError, match="schema_version is"):
        read(place)
