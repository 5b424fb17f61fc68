"""What a model costs: told beside its images, on the card and in the tables, and in no score and no comparison."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from faked import Fake, asked, fake
from hostile_cards import EFFICIENCY
from reported import scored
from safetensors.numpy import load_file, save_file

from igmu_data.errors import InputError, MetadataError, VerificationError, WeightsError
from igmu_data.sandbox import packaged
from igmu_data.strangers import fingerprint
from igmu_metrics.images import efficiency, stored
from igmu_metrics.images.generate import draw
from igmu_metrics.images.method import Method, checked
from igmu_metrics.images.method import read as read_method
from igmu_metrics.images.pipelines import find_pipeline
from igmu_metrics.report.figures.cost import cost
from igmu_metrics.scorecard import Scorecard, read, schema, write
from igmu_metrics.verdict.verify import verify
from igmu_metrics.verdict.verify_images import unlike

METHOD = "training_seconds: 5400\ngpu: NVIDIA A100\nn_gpus: 2\nn_images: 1000\n"


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Scorecard:
    return scored(tmp_path_factory.mktemp("scored"))[0]


def with_cost(card: Scorecard, **changes: Any) -> Scorecard:
    given = json.loads(json.dumps(EFFICIENCY)) | changes
    return card.model_copy(update={"efficiency": efficiency.Efficiency.model_validate(given)}).sealed()


class TestStored:
    """The sandbox's versions against their base."""

    def beyond(self, model: str) -> tuple[int, int] | None:
        base = find_pipeline("sandbox:original").stored
        mine = find_pipeline(model, target="object/church", trust_code=True).stored
        assert base
        assert mine
        return mine().beyond(base())

    def test_a_filter_stores_no_parameter_and_uce_its_part(self, tmp_path: Path) -> None:
        assert self.beyond("sandbox:original") == self.beyond("filter:sandbox:original") == (0, 0)
        filtered = self.beyond("sandbox:filter/church")
        assert filtered
        assert filtered[0] == 0 < filtered[1]  # a tokenizer
        part = packaged.part("unet-uce-church") / packaged.CHANGES
        tensors = load_file(part)
        size = sum(t.size for t in tensors.values()), sum(t.nbytes for t in tensors.values())
        assert self.beyond("sandbox:uce/church") == self.beyond(f"sandbox:original,unet={part}") == size
        named = tmp_path / "named.safetensors"
        save_file({f"unet.{name}": value for name, value in tensors.items()}, named)
        assert self.beyond(f"sandbox:original,unet={named}") == size

    def test_what_has_no_place_in_the_base_counts_whole(self, tmp_path: Path) -> None:
        import numpy as np

        lora = tmp_path / "lora.safetensors"
        save_file({"a.lora_A.weight": np.ones((2, 3), "f4"), "a.lora_B.weight": np.ones((3, 2), "f4")}, lora)
        assert self.beyond(f"sandbox:original,lora={lora}:0.5") == (12, 48)
        code = tmp_path / "method.py"
        code.write_text("def erase(pipe): return pipe\n")
        assert self.beyond(f"sandbox:original,code={code}:erase") is None

    def test_a_torch_file_counts_like_safetensors(self, tmp_path: Path) -> None:
        import torch

        part = packaged.part("unet-uce-church") / packaged.CHANGES
        torch.save({k: torch.from_numpy(v) for k, v in load_file(part).items()}, tmp_path / "part.bin")
        assert self.beyond(f"sandbox:original,unet={tmp_path / 'part.bin'}") == self.beyond("sandbox:uce/church")

    @pytest.mark.parametrize("data", [b"", b"\xff" * 16, b"\x02\0\0\0\0\0\0\0{}x", b"\x02\0\0\0\0\0\0\0[]"])
    def test_files_that_are_none(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "unet").mkdir()
        (tmp_path / "unet" / "x.safetensors").write_bytes(data)
        if data.endswith(b"{}x"):  # no tensor at all
            assert stored.of(tmp_path, (), None).tensors == {}
        else:
            with pytest.raises(WeightsError, match="is not a safetensors file"):
                stored.of(tmp_path, (), None)

    def test_of_several_variants_those_that_are_read(self, tmp_path: Path) -> None:
        import numpy as np

        (tmp_path / "unet").mkdir()
        for name, kind in (("x", "f4"), ("x.fp16", "f2")):
            save_file({"w": np.ones(4, kind)}, tmp_path / "unet" / f"{name}.safetensors")
        sizes = [stored.of(tmp_path, (), variant).tensors["unet/w"][1] for variant in (None, "fp16")]
        assert sizes == [16, 8]


class TestGenerated:
    def folders(self, root: Path, seconds: float = 0.0, **of_esd: Any) -> tuple[Path, Path]:
        weights = {name: stored.Weights(tensors=t, files={}) for name, t in (("original", {}), ("esd", {"u/w": W}))}
        for name, found in weights.items():
            pipe = dataclasses.replace(fake(Fake(), revision=name), stored=lambda found=found: found)
            draw(asked(1, 2), pipe, root / name, **(of_esd if name == "esd" else {}))
        return root / "original", root / "esd"

    def test_time_memory_and_storage_are_found_beside_the_images(self, tmp_path: Path) -> None:
        path = tmp_path / "method.yaml"
        path.write_text(METHOD)
        found = efficiency.of(*self.folders(tmp_path, method=read_method(path)))
        assert found
        assert (found.extra_parameters, found.extra_bytes) == (5, 20)
        assert found.method == Method(training_seconds=5400, gpu="NVIDIA A100", n_gpus=2, n_images=1000)
        assert found.times
        for pace in (found.times.unlearned, found.times.original):
            assert pace
            assert (pace.n_images, pace.batch_size) == (2, 1)
            assert 0 <= pace.seconds < 60
            assert re.fullmatch(r"steps \d+, guidance [\d.]+, \d+×\d+", pace.settings or "")
            assert pace.peak_bytes is None or pace.peak_bytes > 10_000_000
        assert found.times.ratio is not None

    def test_the_median_over_calls_of_the_kind_that_most_were_made_in(self, tmp_path: Path) -> None:
        line = {"images": 4, "batch_size": 4, "peak_bytes": 7, "device": "gpu"}
        took = [{**line, "seconds": s} for s in (400.0, 4.0, 8.0)] + [{**line, "seconds": 1.0, "device": "cpu"}]
        (tmp_path / "times.jsonl").write_text("".join(json.dumps(one) + "\n" for one in took) + '{"torn')
        found = efficiency.pace(tmp_path)
        assert found == efficiency.Pace(seconds=2.0, peak_bytes=7, n_images=12, batch_size=4, device="gpu")

    def test_times_of_other_steps_are_neither_mixed_nor_compared(self, tmp_path: Path) -> None:
        """A folder keeps the times of images that were deleted, and of rows that were generated with other settings."""
        line = {"images": 1, "batch_size": 1, "peak_bytes": 7, "device": "gpu"}
        fast, slow = ({**line, "seconds": s, "settings": f"steps {n}, guidance 3, 64×64"} for s, n in ((1, 4), (9, 50)))
        old = {**line, "seconds": 9}
        paces = []
        for name, took in (("a", [slow, fast, fast]), ("b", [slow, slow, fast]), ("c", [old]), ("d", [old])):
            (tmp_path / name).mkdir()
            text = "".join(json.dumps(one) + "\n" for one in took)
            (tmp_path / name / "times.jsonl").write_text(text, encoding="utf-8")
            paces.append(efficiency.pace(tmp_path / name))
        assert [pace and (pace.seconds, pace.settings) for pace in paces] == [
            (1.0, "steps 4, guidance 3, 64×64"),
            (9.0, "steps 50, guidance 3, 64×64"),
            (9.0, None),
            (9.0, None),
        ]
        ratio = {(a, b): efficiency.Times(unlearned=a, original=b).ratio for a in paces for b in paces}
        assert {pair: r for pair, r in ratio.items() if r is not None} == {(p, p): 1.0 for p in paces}

    def test_folders_of_elsewhere_say_nothing(self, tmp_path: Path) -> None:
        assert efficiency.of(tmp_path, tmp_path) is None

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("times.jsonl", "{}\n"),
            ("times.jsonl", '{"images": 1, "batch_size": 0, "seconds": 1, "peak_bytes": 1, "device": "x"}\n'),
            ("times.jsonl", '{"images": 1, "batch_size": 1, "seconds": NaN, "peak_bytes": 1, "device": "x"}\n'),
            ("times.jsonl", '{"images": 1, "batch_size": 1, "seconds": 1, "peak_bytes": 1, "device": "\\u001b[2J"}\n'),
            ("model.json", "[]"),
            ("model.json", '{"weights": {"tensors": {"a": [-1, 1, "0123456789abcdef"]}, "files": {}}}'),
            ("model.json", '{"method": {"gpu": ""}}'),
        ],
    )
    def test_what_generating_has_not_written(self, tmp_path: Path, name: str, text: str) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(MetadataError, match=f"{name}.*Delete"):
            efficiency.of(tmp_path, tmp_path)

    def test_a_method_may_be_told_later_and_stays(self, tmp_path: Path) -> None:
        for method in (None, Method(n_images=3), None):
            draw(asked(1), fake(Fake()), tmp_path, method=method)
        found = stored.read(tmp_path / "model.json")
        assert found
        assert found.method == Method(n_images=3)


W = (5, 20, "0123456789abcdef")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"training_second": 1}, "did you mean 'training_seconds'"),
        ({"training_seconds": -1}, "training_seconds"),
        ({"training_seconds": float("nan")}, "training_seconds"),
        ({"gpu": "a\x1b[2J"}, "is invisible"),
        ({"data": "x" * 300}, "longer than 255"),
        ({}, "contains no values"),
        ([1], "valid"),
    ],
)
def test_a_method_file_that_is_none(given: Any, says: str) -> None:
    with pytest.raises(InputError, match=f"here.*{says}"):
        checked(given, "here")


def test_a_method_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "method.yaml").write_text("a: [")
    with pytest.raises(InputError, match="is not valid YAML"):
        read_method(tmp_path / "method.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        read_method(tmp_path / "none.yaml")


class TestOnTheCard:
    def test_a_card_without_it_is_as_before(self, card: Scorecard, tmp_path: Path) -> None:
        write(card, tmp_path / "card.json")
        assert "efficiency" not in json.loads((tmp_path / "card.json").read_text())
        assert read(tmp_path / "card.json").efficiency is None

    def test_it_is_written_read_and_checked(self, card: Scorecard, tmp_path: Path) -> None:
        told = with_cost(card)
        write(told, tmp_path / "card.json")
        assert read(tmp_path / "card.json") == told
        assert verify(tmp_path / "card.json") == (told, [])
        assert told.scores == card.scores
        assert "efficiency" in schema()["properties"]
        assert all("description" in field for field in schema()["$defs"]["Pace"]["properties"].values())

    def test_times_are_in_no_hash_and_all_else_is(self, card: Scorecard, tmp_path: Path) -> None:
        told = with_cost(card)
        slower = with_cost(
            card, times={"unlearned": EFFICIENCY["times"]["unlearned"] | {"seconds": 9}, "original": None}
        )
        assert told.content_sha256 == slower.content_sha256 == with_cost(card, times=None).content_sha256
        assert told.content_sha256 != card.content_sha256
        write(told, tmp_path / "card.json")
        text = (tmp_path / "card.json").read_text()
        (tmp_path / "card.json").write_text(text.replace("98304", "98305"))
        with pytest.raises(VerificationError):
            read(tmp_path / "card.json")

    def test_verified_by_its_images_but_for_times(self, card: Scorecard) -> None:
        told = with_cost(card)
        assert list(unlike(told, with_cost(card, times=None))) == []
        assert list(unlike(told, card)) == []  # folders that say nothing
        assert [p.where for p in unlike(told, with_cost(card, extra_parameters=1))] == ["efficiency"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"extra_parameters": -1},
            {"extra_bytes": 1.5},
            {"extra_bytes": 10**17},
            {"surprise": 1},
            {"method": {"gpu": "a\u202eb"}},
            {"times": {"unlearned": EFFICIENCY["times"]["unlearned"] | {"seconds": -1}, "original": None}},
            {"times": {"unlearned": EFFICIENCY["times"]["unlearned"] | {"seconds": 1e300}, "original": None}},
            {"times": {"unlearned": EFFICIENCY["times"]["unlearned"] | {"device": "\x1b[2J"}, "original": None}},
            {"times": {"unlearned": EFFICIENCY["times"]["unlearned"] | {"n_images": 0}, "original": None}},
        ],
    )
    def test_a_strangers_values_are_checked(self, card: Scorecard, tmp_path: Path, wrong: dict[str, Any]) -> None:
        write(with_cost(card), tmp_path / "card.json")
        data = json.loads((tmp_path / "card.json").read_text())
        data["efficiency"] |= wrong
        data["content_sha256"] = fingerprint(json.dumps(data))
        (tmp_path / "card.json").write_text(json.dumps(data))
        found, problems = verify(tmp_path / "card.json")
        assert found is None
        assert problems[0].where.startswith("efficiency")


class TestShown:
    def lines(self, *cards: Scorecard) -> list[list[str]]:
        found = cost(cards)
        assert found
        return [[name, *(cell.shown for cell in cells)] for name, _, cells in found.lines]

    def test_beside_the_original(self, card: Scorecard) -> None:
        slow = EFFICIENCY["times"]["unlearned"] | {"seconds": 3.0}
        times = {"unlearned": slow, "original": EFFICIENCY["times"]["original"]}
        assert self.lines(with_cost(card, times=times)) == [
            ["original (original)", "1.5", "1.00", "1 GB", "–", "–", "–"],
            ["esd", "3", "2.00", "1 GB", "98.3 k", "197 kB", "60 s on 1 × A100, prompts"],
        ]

    def test_unlike_devices_are_not_compared(self, card: Scorecard) -> None:
        other = EFFICIENCY["times"]["unlearned"] | {"device": "another"}
        times = {"unlearned": other, "original": EFFICIENCY["times"]["original"]}
        assert self.lines(with_cost(card, times=times))[1][2] == "not comparable"

    def test_of_what_nobody_knows_nothing_is_shown(self, card: Scorecard) -> None:
        assert cost([card]) is None
        assert self.lines(with_cost(card, times=None, method=None, extra_parameters=None, extra_bytes=0))[1][1:] == [
            *("–", "–", "–", "–", "0 B", "–")
        ]
