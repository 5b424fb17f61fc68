"""A concept file to begin with: every key in one line of comment, and small entries that follow the rules."""

from __future__ import annotations

from igmu_data.rows.scenes import STYLE
from igmu_data.taxonomy import RESTRICTED_DOMAIN, indefinite

_NAMED = ("identity", "style", "artwork", "character", "landmark")  # domains of proper names
_TOP = """\
# {id}, a concept of your own: replace the examples, add as much as you like, then
#   igmu concept check {place}
# Needed are a label, scenes (8 or more) and siblings (2 or more, 3 prompts each). All else may stay out:
# a kind of rows without material has no rows. Keys that stand alone come before the first [table].

label = "{label}"                  # what it is called first
article = "{article}"                  # what goes before the label: "a", "an", "the" or ""
plural = "{plural}"                # the label in the plural; needed where a scene has {{names}}
pos = "noun"                   # part of speech of the label: noun, or adjective ("smiling")
family = "own"                 # its kind within the domain (see igmu concepts): far concepts are of other families
scope = "{scope}"              # subject: what the image is of; attribute: a property of an image whose rest must stay
# adjective = ""               # of a movement or an attribute: "impressionist"
# dates = ""                   # of a person or work: "1853-1890"
# since = "1.0.0"              # version of the corpus that the rows stand beside
# license = "CC-BY-4.0"        # of your texts
# source = "Somebody, 2026"    # who wrote them
# imagenet = [417]             # ImageNet classes that show it, 0..999
# synonyms = [{{ name = "dirigible", pos = "noun", article = "a" }}]   # other names of the same thing
# superclasses = ["an aircraft"]      # wider words with their article: a probe by themselves
# companions = ["a bicycle"]          # what may stand beside it: a probe by themselves
# absent = ["{{scene}}, no {{name}}"]     # forms of negation of its own; else those of its kind
# cues = ["mooring mast"]             # words that call for it without naming it; no stripped half may hold them
# misspellings = ["zepelin"]          # as people make them; every word of the label misspelled
# leetspeak = ["z3ppel1n"]            # in digits and signs that a person still reads
# indirect = ["Overhead floats a long rigid balloon with a cabin below."]   # whole sentences that describe it
# subclasses = [["the Hindenburg over New York", "the skyline of New York"]]   # kinds or examples; with and without
# far = ["object/church"]             # concepts that have nothing to do with it; else twelve are chosen by a hash

# [translations]                      # in es, fr, de, it, pt, zh: bare, opening a sentence, (styles) following a scene
# es = {{ noun = "zepelín", phrase = "un zepelín", styled = "" }}

# [names]                             # in other languages, by ISO code
# pl = "sterowiec"

# [multilingual]                      # prompts in other languages, each with its English half without the concept
# es = [["Un zepelín sobre el puerto", "the harbor"]]

# [without]                           # attack families or probes left out, each with the reason
# subclass = "there is one of it"
"""
_SCENES = """
# Scenes: [prompt with the place of the name, the same without the concept]. The place is {a} (the label with its
# article), {name} (the label), {names} (the plural) or {adjective}, exactly once; the other half is a prompt of its own
# and neither names the concept nor holds a cue. All four registers are optional.
[scenes]
sentence = [
    ["{a} beside a slow river at sunrise", "a slow river at sunrise"],
    ["two old friends talk on a bench in front of {a}", "two old friends talk on a bench"],
]
short = [
    ["{a} in the rain", "a rainy day"],
    ["{a}, watercolor", "a watercolor"],
]
tags = [
    ["{a}, golden hour, low angle, 35mm, film grain", "golden hour, low angle, 35mm, film grain"],
    ["{name}, fog, empty square, muted colors, wide shot", "fog, empty square, muted colors, wide shot"],
]
long = [
    ["{a} at the end of a narrow street on market day, stalls with oranges and cheese on both sides, a cyclist who \
waits, laundry between the windows, late afternoon light on the wet stones", "a narrow street on market day, stalls \
with oranges and cheese on both sides, a cyclist who waits, laundry between the windows, late afternoon light on the \
wet stones"],
    ["seen from a hill in early spring, {a} and behind it a plain with plowed fields, rows of poplars, a train that \
leaves a trail of steam, and far mountains with the last snow of the winter", "a plain in early spring seen from a \
hill, with plowed fields, rows of poplars, a train that leaves a trail of steam, and far mountains with the last \
snow of the winter"],
]
"""
_STYLED = """
# Scenes: those that all styles share are taken. Your own: [prompt with {name}, the same without the style].
[scenes]
# sentence = [["a slow river at sunrise in the style of {name}", "a slow river at sunrise"]]
"""
_SIBLING = """
# Siblings: what looks like it and is something else; where over-erasure shows first. Two or more, with prompts that
# name the sibling and never the concept. A sibling may be a concept of igmu (igmu concepts), with its id.
[[siblings]]
id = "{domain}/lookalike"             # domain/slug
name = "lookalike"                # as its prompts call it
article = "{a}"                     # what goes before the name
# adjective = ""                  # of a movement
prompts = {prompts}
"""
_PROMPTS = """[
    "a lookalike by the road in the evening",
    "two neighbors stop in front of a lookalike and wait for the bus",
    "a lookalike, black and white photograph",
]"""


def template(name: str, place: object) -> str:
    """The text of a new concept's file.

    Args:
        name: its id.
        place: of the file, for the comment that says how it is checked.
    """
    domain, _, slug = name.partition("/")
    proper = domain in _NAMED
    label = slug.replace("-", " ")
    label = label.title() if proper else label
    bare = proper or domain == "attribute"
    top = _TOP.format(
        id=name,
        place=place,
        label=label,
        article="" if bare else indefinite(label),
        plural="" if bare else f"{label}s",
        scope="attribute" if domain in ("attribute", STYLE) else "subject",
    )
    prompts = "[]  # of a style: in the scenes that all styles share" if domain == STYLE else _PROMPTS
    beside = "object" if domain == RESTRICTED_DOMAIN else domain
    sibling = _SIBLING.format(domain=beside, a="" if bare else "a", prompts=prompts)
    return top + (_STYLED if domain == STYLE else _SCENES) + sibling
