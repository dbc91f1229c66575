"""A teacher and blind reader that follows every prompt of a synthesis, without a model.

It writes the target level into the judged text, and reads it there when it is asked blind.
"""

import hashlib
import random
import re

WORDS = """
the of and to in is that it was for with as on by this have from they at be harbour ledger kettle
winter river engine ticket garden mirror doctor letter bridge market signal copper window station
valley record number seven twelve blue quiet early people answer report
""".split()  # noqa: SIM905


def follow(prompt):
    """What a good teacher answers to a prompt of a synthesis, without the opening."""
    if "Write these texts:" in prompt:
        return _material(prompt)
    if "Write other words for the part in [[ ]]" in prompt:
        level = re.search(r"whole text deserves (-?\d+):", prompt)[1]
        return f"Here people found level {level} of it, said the {_some(prompt, 2)} report."
    if "Write what decided it" in prompt or "Write what this judge wrote" in prompt:
        judged = re.search(r"letter for letter from ([^;]+?)[;,]", prompt)[1].split(" or ")[0]
        text = re.search(rf"<{judged}>\n(.*?)\n</{judged}>", prompt, re.DOTALL)[1]
        quote = text.split("\n")[0]
        why = "mistaken" if "A bad judge" in prompt else "careful"
        return f"- {quote}\nReason: The {why} reader looks at {judged}, {_some(quote, 6)}, and decides by it."
    return _blind(prompt)


def _material(prompt):
    tags = re.findall(r"^<([^/>\n]+)>\n\.\.\.\n</", prompt, re.MULTILINE)
    n = int(re.search(r"about (\d+) words\. Other", prompt)[1])
    levels = dict(
        re.findall(r"^Write (.+?) so that it deserves (?:exactly )?(-?\d+):", prompt, re.M)
    )
    texts = []
    for tag in tags:
        first = (
            f"Here people found level {levels[tag]} of it, said the report."
            if tag in levels
            else ""
        )
        length = n if tag in levels else 30
        texts.append(
            f"<{tag}>\n{first}\n{_some(prompt + tag, length)}\n</{tag}>".replace(">\n\n", ">\n")
        )
    return "\n".join(texts) + "\n"


def _blind(prompt):
    levels = [int(level) for level in re.findall(r"found level (-?\d+) of it", prompt)]
    if "output 1 and output 2" in prompt:
        return f"Score: {int(levels[1] > levels[0])}"
    return f"Score: {levels[0]}"


def _some(seed, n):
    draw = random.Random(hashlib.sha256(seed.encode()).digest())
    return " ".join(draw.choice(WORDS) for _ in range(n))
