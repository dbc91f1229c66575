"""A teacher and blind reader that follows every prompt of a synthesis, without a model.

It writes the target level into the judged text, and reads it there when it is asked blind. In
stepwise writing it is not told the level's number, so it writes a hash of the level's description.
"""

import hashlib
import json
import random
import re
import zlib

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
    if "Invent one situation" in prompt:
        return "\n".join(
            f"{name}: {_some(prompt + name, 6)}"
            for name in ("Who", "Where", "What", "Detail", "Wanted")
        )
    if "Rewrite the text so that this answer is right" in prompt:
        base = prompt.split("Text:\n")[-1].split("\n\nQuestion")[0]
        marks = " and ".join(f"mark {_mark(line)}" for line in re.findall(r"Answer: (.+)", prompt))
        return f"Here people found {marks} of it. {_some(prompt, len(base.split()))}"
    if (n := re.search(r"\bAbout (\d+) words\.", prompt)) is not None:
        return _some(prompt, int(n[1]))
    if "anew about another subject" in prompt:
        real = prompt.split(":\n")[-1].split("\n\nWrite this")[0]
        return _some(prompt, len(real.split()))
    if "letter for letter from" in prompt:
        judged = re.search(r"letter for letter from ([^;]+?)[;,]", prompt)[1].split(" or ")[0]
        text = re.search(rf"<{judged}>\n(.*?)\n</{judged}>", prompt, re.DOTALL)[1]
        quote = text.split("\n")[0]
        why = "mistaken" if "bad judge" in prompt or "is mistaken" in prompt else "careful"
        return f"- {quote}\nReason: The {why} reader looks at {judged}, {_some(quote, 6)}, and decides by it."
    return _blind(prompt)


def answer(body):
    """What the teacher says to a request: chat-json where it reads blind in that format."""
    messages = body["messages"]
    said = follow(
        messages[-1]["content"] if messages[-1]["role"] == "user" else messages[-2]["content"]
    )
    if said.startswith("Score: "):
        score = int(said.removeprefix("Score: "))
        return json.dumps({"reasoning": "It stands there.", "highlights": [], "score": score})
    return said if said.startswith("<") or "- " not in said[:2] else "Quotes:\n" + said


def _material(prompt):
    tags = re.findall(r"^<([^/>\n]+)>\n\.\.\.\n</", prompt, re.MULTILINE)
    n = int(re.search(r"about (\d+) words\.", prompt)[1])
    levels = {}
    for tag, level, aspect in re.findall(
        r"^Write (.+?) so that it deserves (?:exactly )?(-?\d+): .*?(?:\(([^()]+)\))?$",
        prompt,
        re.M,
    ):
        about = f"for {aspect} " if aspect else ""
        levels[tag] = levels.get(tag, "") + f"Here {about}people found level {level} of it. "
    texts = []
    for tag in tags:
        first = levels.get(tag, "").strip()
        length = n if tag in levels else 30
        texts.append(
            f"<{tag}>\n{first}\n{_some(prompt + tag, length)}\n</{tag}>".replace(">\n\n", ">\n")
        )
    return "\n".join(texts) + "\n"


def _blind(prompt):
    if "people found mark" in prompt:
        marks = set(map(int, re.findall(r"\bmark (\d+)\b", prompt)))
        levels = re.findall(r"^(-?\d+) = (.+)$", prompt, re.M)
        return "Score: " + next(score for score, said in levels if _mark(said) in marks)
    for aspect, level in re.findall(r"for ([A-Z][\w ]+) people found level (-?\d+)", prompt):
        if f"Criterion: {aspect}\n" in prompt:
            return f"Score: {level}"
    levels = [int(level) for level in re.findall(r"found level (-?\d+) of it", prompt)]
    if "output 1 and output 2" in prompt:
        return f"Score: {int(levels[1] > levels[0])}"
    return f"Score: {levels[0]}"


def _mark(level):
    return zlib.crc32(level.encode()) % 100_000


def _some(seed, n):
    draw = random.Random(hashlib.sha256(seed.encode()).digest())
    return " ".join(draw.choice(WORDS) for _ in range(n))
