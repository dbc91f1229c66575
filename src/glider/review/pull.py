"""What seeing the judge's answer does: who changed, towards whom, against items never shown."""

import numpy as np

from glider.review.panel import Panel, ends_of
from glider.review.plan import is_held_out
from glider.review.results import ReviewFigure
from glider.stats.clustered import clustered_mean
from glider.stats.resampling import paired_difference
from glider.stats.statistic import ratio_of


def pull(panel: Panel) -> list[ReviewFigure]:
    """Measure who changed, towards whom, and against items whose judgment was never shown."""
    if panel.plan.shows != "after":
        return []
    places = {item.id: n for n, item in enumerate(panel.items)}
    rows: list[tuple[int, int, bool, float, float]] = []
    for item, name, own in panel.answered.each("blind"):
        n, p = places[item.id], panel.names.index(name)
        before = abs(panel.scores[n, p] - panel.judge[n])
        told = item.reveal.get(name)
        if is_held_out(panel.plan, name, item.id):
            rows.append((n, p, True, before, before))
        elif told is not None and np.isfinite(before):
            final = item.value(told)
            if not np.isfinite(final):  # not asked again: unchanged
                final = item.value(own)
            low, high = ends_of(item)
            final = final if panel.alike else (final - low) / (high - low)
            rows.append((n, p, False, before, abs(final - panel.judge[n])))
    if not rows:
        return []
    table = np.array([(n, p, held) for n, p, held, _, _ in rows], np.int64)
    before, after = np.array([row[3] for row in rows]), np.array([row[4] for row in rows])
    prompts, held = panel.clusters[table[:, 0]], table[:, 2] == 1
    shown = ~held
    changed = np.array(
        [
            bool(
                (told := panel.items[n].reveal.get(panel.names[p]))
                and np.isfinite(panel.items[n].value(told))
                and panel.items[n].value(told)
                != panel.items[n].value(panel.items[n].blind[panel.names[p]])
            )
            for n, p, *_ in rows
        ]
    )
    people = len(set(table[:, 1].tolist()))
    found = []
    if shown.any():
        found += [
            ("changed the score when the judge's was shown",
             clustered_mean(changed[shown] * 1.0, prompts[shown], scale=(0, 1))),
            ("moved towards the judge's score, in steps",
             clustered_mean((before - after)[shown], prompts[shown])),
            ("distance to the judge, before it was shown",
             clustered_mean(before[shown], prompts[shown])),
            ("distance to the judge, after it was shown",
             clustered_mean(after[shown], prompts[shown])),
        ]  # fmt: skip
    if held.any():
        found.append(("distance to the judge where it was never shown",
                      clustered_mean(before[held], prompts[held])))  # fmt: skip
    if held.any() and shown.any():
        difference = paired_difference(
            ratio_of(after * shown, shown * 1.0, "none was shown"),
            ratio_of(before * held, held * 1.0, "none was held out"),
            prompts,
            rng=panel.rng(),
        )
        found.append(("distance, shown less never shown", difference))
    return [ReviewFigure.made(one, name=name, people=people) for name, one in found]
