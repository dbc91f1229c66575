"""How each person answered; signs of answering by pattern are said, and nobody is left out."""

from collections import Counter
from statistics import median

import numpy as np

from glider.review.panel import Panel
from glider.review.plan import visits
from glider.review.results import PersonReport
from glider.review.verdicts import VERDICTS


def person_report(panel: Panel, name: str) -> PersonReport:
    """Summarize how one person answered."""
    person = panel.answered.people[name]
    own = [(item, item.blind[name]) for item in panel.items if name in item.blind]
    told = [item.reveal[name] for item in panel.items if name in item.reveal]
    values = [item.value(answer) for item, answer in own]
    counts = Counter(value for value in values if np.isfinite(value))
    commonest = counts.most_common(1)
    times = [answer.seconds for _, answer in own if answer.seconds > 0]
    twice = [
        (item.value(item.blind[name]), item.value(item.again[name]))
        for item in panel.items
        if name in item.blind and name in item.again
    ]
    same = sum(a == b for a, b in twice)
    notes = []
    if len(values) >= 10 and commonest and commonest[0][1] == len(values):
        notes.append(f"the same score to all {len(values)} items")
    for key, about in VERDICTS:
        words = Counter(getattr(answer, key) for answer in told)
        if len(told) >= 20 and len(words) == 1:
            notes.append(f"the same verdict on the {about} {len(told)} times")
    if len(times) >= 5 and median(times) < 3:
        notes.append(f"half of the answers within {median(times):.1f} s")
    by_chance = sum((n / len(values)) ** 2 for n in counts.values()) if values else 0
    if len(twice) >= 8 and same / len(twice) <= by_chance:
        notes.append("agrees with the own repeats no more than by chance")
    asked = 0
    if name in panel.plan.people:
        asked = sum(v.time == 1 for v in visits(panel.plan, name, person.answered))
    return PersonReport(
        name=name,
        answered=len(own),
        asked=max(asked, len(own)),
        verdicts=len(told),
        skipped=sum(
            stage == "skip" and visit not in person.answered for visit, stage in person.current
        ),
        flagged=sum(stage == "flag" for _, stage in person.current),
        median_seconds=median(times) if times else None,
        marks_per_item=sum(len(answer.spans) for _, answer in own) / len(own),
        commonest=f"{commonest[0][0]:g} ({commonest[0][1]} of {len(values)})" if commonest else "",
        repeats=len(twice),
        same_again=same / len(twice) if twice else None,
        off_again=sum(abs(a - b) for a, b in twice) / len(twice) if twice else None,
        notes=tuple(notes),
    )
