"""Position: the same two outputs in both orders. An unbiased judge picks the same winner."""

from collections.abc import Callable, Sequence

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, Rng, Subject, Trial
from glider.audit.shapes import compare, pairs
from glider.core.judgments import Comparison, Judgment
from glider.judging.pairs import p_shown_first

_NOTHING = "no two outputs to compare: supply rows with `outputs`, or texts of some length"
_MADE = " The pairs were made here: each output beside its own first half."


class Position(Probe):
    """Flip rate and first-slot share (CoBBLEr's order bias, first and last separately)."""

    name = "position"
    title = "Position"
    asks = "Shows two outputs in both orders: the winner should not change."
    advice = (
        "Ask pairs in both orders (Glider does unless told `--single-order`) and treat a flip as a "
        "tie; do not compare judges or systems on one order."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        return [Trial(pair, {"pair": compare(pair)}) for pair in pairs(subjects)]

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        made = _MADE if any(trial.subject.made for trial in trials) else ""
        return [
            effect(
                "flips", "Winner changed with the order", trials, _flipped, rng, unit="share",
                bound=0.2, nothing=_NOTHING,
                means=f"In {{value}} of the pairs the order decided who won.{made}",
            ),
            effect(
                "first-slot", "The output shown first won", trials, _first, rng, unit="share",
                neutral=0.5, bound=0.1, nothing=_NOTHING,
                means="The output shown first won {value} of the time; without a liking for a "
                "place it is half.",
            ),
            effect(
                "always-first", "The first won in both orders", trials, _same(1.0), rng,
                unit="share", nothing=_NOTHING,
                means="In {value} of the pairs whichever stood first won.",
            ),
            effect(
                "always-last", "The last won in both orders", trials, _same(0.0), rng,
                unit="share", nothing=_NOTHING,
                means="In {value} of the pairs whichever stood last won.",
            ),
        ]  # fmt: skip


def _flipped(trial: Trial) -> float | None:
    flipped = trial.flipped("pair")
    return None if flipped is None else float(flipped)


def _slots(trial: Trial) -> list[float] | None:
    """For each order, 1 if the output shown first won, 0 if the other did, 0.5 for a tie."""
    outcome = trial.said["pair"]
    if not isinstance(outcome, Comparison):
        return None
    judged = [order for order in outcome.orders if isinstance(order, Judgment)]
    if len(judged) < 2:
        return None
    shares = [p_shown_first(order) for order in judged]
    return [0.5 if share == 0.5 else float(share > 0.5) for share in shares]


def _first(trial: Trial) -> float | None:
    slots = _slots(trial)
    return None if slots is None else sum(slots) / 2


def _same(slot: float) -> Callable[[Trial], float | None]:
    def value(trial: Trial) -> float | None:
        slots = _slots(trial)
        return None if slots is None else float(slots == [slot, slot])

    return value
