"""Formatting: the same words as bullets, in bold, under a heading, in a code fence."""

from collections.abc import Callable, Sequence

from glider.audit.measure import effect
from glider.audit.probe import Effect, Probe, Rng, Subject, Trial
from glider.audit.shapes import grade, singles, text_of, with_output
from glider.audit.wordings import bulleted, emboldened, fenced, headed

_STYLES: dict[str, tuple[str, Callable[[str], str]]] = {
    "bullets": ("As bullets", bulleted),
    "bold": ("With bold words", emboldened),
    "heading": ("Under a heading", headed),
    "fence": ("In a code fence", fenced),
}


class Markdown(Probe):
    """Score of the same text in four kinds of markdown."""

    name = "format"
    title = "Format"
    asks = "Writes the same words as bullets, in bold, under a heading, in a code fence."
    advice = (
        "Unless form is what you judge, strip markdown before judging, or say in the criterion "
        "that form does not count."
    )

    def trials(self, subjects: Sequence[Subject], rng: Rng) -> list[Trial]:
        found = []
        for subject in singles(subjects):
            asks = {"plain": grade(subject.sample, subject.criterion)}
            for style, (_, change) in _STYLES.items():
                styled = with_output(subject.sample, change(text_of(subject)))
                asks[style] = grade(styled, subject.criterion)
            found.append(Trial(subject, asks))
        return found

    def effects(self, trials: Sequence[Trial], rng: Rng) -> list[Effect]:
        return [
            effect(
                style, title, trials, lambda t, style=style: t.rise("plain", style), rng,  # type: ignore[misc]
                unit="shift", bound=0.1, nothing="no text to judge",
                means=f"The same words, {title[0].lower()}{title[1:]}, change the score by "
                "{value} of the scale.",
            )
            for style, (title, _) in _STYLES.items()
        ]  # fmt: skip
