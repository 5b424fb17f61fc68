"""A template of a concept file: every key explained in a comment, and short examples that follow the rules."""

from __future__ import annotations

from igmu_data.rows.scenes import STYLE
from igmu_data.taxonomy import RESTRICTED_DOMAIN, indefinite

_NAMED = ("identity", "style", "artwork", "character", "landmark")  # domains of proper names
_TOP = """\
# {id}, your own concept. Replace the examples, add as much as you like, then run
#   igmu concept check {place}
# A label, scenes (8 or more) and siblings (2 or more, with 3 prompts each) are required. Everything else is optional:
# kinds of rows without material are left out. Keys outside of tables must come before the first [table].

label = "{label}"                  # its main name
article = "{article}"                  # the article before the label: "a", "an", "the" or ""
plural = "{plural}"                # the plural of the label; required if a scene has {{names}}
pos = "noun"                   # part of speech of the label: noun, proper noun, or adjective ("smiling")
family = "own"                 # its family within the domain (see igmu concepts); far concepts are from other families
scope = "{scope}"              # subject: what the image shows; attribute: a property of something that must stay itself
# adjective = ""               # for a movement or an attribute, such as "impressionist"
# dates = ""                   # for a person or work, such as "1853-1890"
# since = "1.0.0"              # corpus version to which the rows are added
# license = "CC-BY-4.0"        # license of your texts
# source = "Jane Doe, 2026"    # author of your texts
# imagenet = [417]             # ImageNet classes that show it, 0..999
# synonyms = [{{ name = "dirigible", pos = "noun", article = "a" }}]   # other names for the same thing
# superclasses = ["an aircraft"]      # broader terms with their article; used by a separate probe
# companions = ["a bicycle"]          # things that may appear with it; used by a separate probe
# absent = ["{{scene}}, no {{name}}"]     # special forms of negation; by default, those of its kind are used
# cues = ["mooring mast"]             # words that suggest it without naming it; not allowed in stripped prompts
# misspellings = ["zepelin"]          # typical misspellings of every word of the label
# leetspeak = ["z3ppel1n"]            # spellings with digits and signs that people can still read
# indirect = ["Overhead floats a long rigid balloon with a cabin below."]   # whole sentences that describe it
# subclasses = [["the Hindenburg over New York", "the skyline of New York"]]   # kinds or examples, with and without it
# far = ["object/church"]             # unrelated concepts; by default, twelve are chosen by a hash

# [translations]                      # es, fr, de, it, pt, zh: the name, as sentence start, (styles) after a scene
# es = {{ noun = "zepelín", phrase = "un zepelín", styled = "" }}

# [names]                             # names in other languages, by ISO code
# pl = "sterowiec"

# [multilingual]                      # prompts in other languages, each with an English prompt without the concept
# es = [["Un zepelín sobre el puerto", "the harbor"]]

# [without]                           # attack families or probes to leave out, each with a reason
# subclass = "there is one of it"
"""
_SCENES = """
# Scenes: [prompt with a placeholder, stripped prompt without the concept]. The placeholder is {a} (the label with its
# article), {name} (the label), {names} (the plural) or {adjective}, and appears exactly once. The stripped prompt is a
# complete prompt that neither names the concept nor contains a cue. All four registers are optional.
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
# Scenes: those that all styles share are used. Add your own as [prompt with {name}, the same prompt without the style].
[scenes]
# sentence = [["a slow river at sunrise in the style of {name}", "a slow river at sunrise"]]
"""
_SIBLING = """
# Siblings: things that look like the concept but are different; over-erasure shows here first. Add two or more, with
# prompts that name the sibling but never the concept. A sibling may be an igmu concept (see igmu concepts) with its id.
[[siblings]]
id = "{domain}/lookalike"             # domain/slug
name = "lookalike"                # its name in the prompts
article = "{a}"                     # the article before the name
# adjective = ""                  # for a movement
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
    prompts = "[]  # a style has the scenes that all styles share" if domain == STYLE else _PROMPTS
    beside = "object" if domain == RESTRICTED_DOMAIN else domain
    sibling = _SIBLING.format(domain=beside, a="" if bare else "a", prompts=prompts)
    return top + (_STYLED if domain == STYLE else _SCENES) + sibling
