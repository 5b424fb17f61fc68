"""Public datasets of labelled images: where they are, how their columns read, and under which licence.

WikiArt on the Hub has no licence. A painter's works are taken to be in the public domain when the painter died before
1931 (more than 70 years ago, and no work is younger than 95 years) or is a concept of the benchmark, which needs 70
years, too (Munch, 1944: in some countries his late works may still be protected). Faithful reproductions of works in
the public domain have no protection of their own in the EU (directive 2019/790, article 14) and in the US.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Final

# WikiArt's painters with the year of their death. Left out: those known above all for erotic work.
_PAINTERS: Final = """
boris-kustodiev 1927, camille-pissarro 1903, claude-monet 1926, edgar-degas 1917, eugene-boudin 1898, gustave-dore 1883,
ilya-repin 1930, ivan-aivazovsky 1900, ivan-shishkin 1898, john-singer-sargent 1925, paul-cezanne 1906,
pierre-auguste-renoir 1919, rembrandt 1669, vincent-van-gogh 1890, hieronymus-bosch 1516, leonardo-da-vinci 1519,
albrecht-durer 1528, juan-gris 1927, lucas-cranach-the-elder 1553, paul-gauguin 1903, konstantin-makovsky 1915,
thomas-eakins 1916, gustave-moreau 1898, francisco-goya 1828, edvard-munch 1944, fra-angelico 1455, jan-matejko 1893,
alfred-sisley 1899, mary-cassatt 1926, georges-seurat 1891, isaac-levitan 1900, jacek-malczewski 1929,
berthe-morisot 1895, arkhip-kuindzhi 1910, james-tissot 1902, vasily-polenov 1927, valentin-serov 1911,
pietro-perugino 1523, ferdinand-hodler 1918, gustav-klimt 1918, vasily-perov 1882, odilon-redon 1916, tintoretto 1594,
raphael 1520, henri-de-toulouse-lautrec 1901, camille-corot 1875, titian 1576, edouard-manet 1883,
peter-paul-rubens 1640, paolo-veronese 1588, joshua-reynolds 1792, gustave-caillebotte 1894, michelangelo 1564,
vasily-surikov 1916, katsushika-hokusai 1849, vasily-vereshchagin 1904, mikhail-vrubel 1910, hans-memling 1494,
amedeo-modigliani 1920, ivan-kramskoy 1887, utagawa-kuniyoshi 1861, gustave-courbet 1877, william-turner 1851,
theo-van-rysselberghe 1926, joseph-wright 1797, edward-burne-jones 1898, koloman-moser 1918, viktor-vasnetsov 1926,
anthony-van-dyck 1641, frans-hals 1666, hans-holbein-the-younger 1543, henri-fantin-latour 1904, el-greco 1614,
james-mcneill-whistler 1903, jacob-jordaens 1678, thomas-gainsborough 1788, eugene-delacroix 1863, canaletto 1768
"""


@dataclass(frozen=True, slots=True)
class Collection:
    """A public dataset and how its columns are read.

    Args:
        repo: Hub id.
        revision: commit.
        label: the ClassLabel column.
        domain: whose concepts the classes can be.
        citation: whom to cite.
        license: licence of all its images; "" where that is unknown.
        license_by: column from whose classes `licenses` gives each image's licence.
        data_files: split → Parquet files in `repo`, where they are not where datasets looks.
    """

    repo: str
    revision: str
    label: str
    domain: str
    citation: str
    license: str = ""
    license_by: str = ""
    data_files: Mapping[str, str] = field(default_factory=dict)


def _wikiart(label: str) -> Collection:
    return Collection(
        repo="huggan/wikiart",
        revision="95a63ba9d977acef34a0203a13e4b5b794145526",
        label=label,
        domain="style",
        license_by="artist",
        citation="WikiArt.org, as collected by Tan et al., Improved ArtGAN, IEEE TIP 28(1), 2019",
    )


COLLECTIONS: Final[Mapping[str, Collection]] = MappingProxyType(
    {
        "imagenette": Collection(
            repo="frgfm/imagenette",
            revision="f176676383cd85c8100e60054d979e1860dc2f61",  # on refs/convert/parquet
            label="label",
            domain="object",
            license="Apache-2.0 (Imagenette); photographs: ImageNet terms, non-commercial research and education",
            citation="Howard, Imagenette, 2019, github.com/fastai/imagenette; Deng et al., ImageNet, CVPR 2009",
            data_files={"train": "320px/train/*.parquet", "validation": "320px/validation/*.parquet"},
        ),
        "wikiart": _wikiart("artist"),
        "wikiart-style": _wikiart("style"),
    }
)


@cache
def licenses() -> Mapping[str, str]:
    """Licence of a painter's works, by the painter's name in WikiArt."""
    pairs = (entry.split() for entry in _PAINTERS.split(","))
    return MappingProxyType({name: f"public domain (painter died in {year})" for name, year in pairs})
