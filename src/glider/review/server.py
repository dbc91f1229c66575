"""The review page's server: loopback only, one secret link per person, no external resources.

The secret comes after `#` in the link, so it appears in no log and no request line; the page
sends it as a bearer token. No request path reaches the file system: all routes are defined
here. An answer is confirmed after it is on disk.
"""

import hashlib
import hmac
import ipaddress
import json
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from glider.core.base import first_problem
from glider.core.errors import GliderError, RunError, SetupError
from glider.core.judgments import Judgment
from glider.core.samples import Field, Sample
from glider.review.answers import Answer, AnswerBook, Person, Stage, misfit
from glider.review.disputes import Disputes
from glider.review.items import ReviewItem
from glider.review.plan import (
    FOLDER,
    Question,
    ReviewPlan,
    Visit,
    chance,
    questions_of,
    shown_first,
    visits,
)
from glider.review.queue import LEASES, Queue
from glider.store.atomic import write_json

_LINKS = "links.json"
_MOST_BODY = 1 << 20
_WRONG_TOKENS = (20, 60.0)
"""Wrong tokens allowed from one address, and the window in seconds, before it must wait."""
_MOST_ADDRESSES = 1_000
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_FILES = {
    "/": ("review.html", "text/html"),
    "/review.css": ("review.css", "text/css"),
    "/review.js": ("review.js", "text/javascript"),
}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def links(run: Path, people: Sequence[str], *, renew: bool = False) -> dict[str, str]:
    """Return a secret for each person, stored next to the answers and readable by its owner alone.

    Args:
        renew: make new secrets, which invalidates links given out before.

    Raises:
        RunError: the file is damaged or cannot be written.
    """
    path = run / FOLDER / _LINKS
    known: dict[str, str] = {}
    if path.exists() and not renew:
        try:
            text = path.read_text("utf-8")
            known = {
                str(name): str(token) for name, token in dict(json.loads(text or "{}")).items()
            }
        except (OSError, ValueError, TypeError) as exc:
            raise RunError(
                f"{path} cannot be read: {exc}", hint="--new-links makes it anew"
            ) from exc
    found = {name: known.get(name) or secrets.token_urlsafe(24) for name in people}
    try:
        path.touch(0o600)
        path.chmod(0o600)
        # Secrets, and what is of this server alone, must not be committed with the answers.
        (run / FOLDER / ".gitignore").write_text(f"{_LINKS}\n{LEASES}\n.lock\n", "utf-8")
    except OSError as exc:
        raise RunError(f"cannot write {path}: {exc.strerror or exc}") from exc
    if found != known:
        write_json(path, found)
    return found


def check_host(host: str, *, allow_remote: bool) -> None:
    """Allow only this machine unless remote access is permitted.

    Raises:
        SetupError: the host is not loopback and `allow_remote` is not set.
    """
    if host == "localhost" or allow_remote:
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SetupError(
            f"{host} can be reached from other machines",
            hint="--allow-remote if that is meant: texts and answers then travel unencrypted",
        )


def make_app(
    plan: ReviewPlan,
    items: Mapping[str, ReviewItem],
    book: AnswerBook,
    tokens: Mapping[str, str],
    *,
    any_host: bool = False,
) -> web.Application:
    """Create the application, for a runner or a test.

    Args:
        items: id to item, for every item of the plan.
        tokens: person to secret.
        any_host: accept any Host header; otherwise only this machine's, which protects against
            DNS rebinding by other pages of the browser.
    """
    review = _Review(plan, items, book, tokens)

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        host = request.host.rsplit(":", 1)[0].strip("[]")
        if not any_host and host not in ("localhost", "127.0.0.1", "::1"):
            return _answered({"error": "this name is not served"}, 421)
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _answered({"error": error.reason}, error.status)
        except GliderError as error:
            response = _answered({"error": str(error)}, 507 if isinstance(error, RunError) else 422)
        for name, value in _HEADERS.items():
            response.headers[name] = value
        return response

    app = web.Application(middlewares=[guard], client_max_size=_MOST_BODY)
    page = files("glider.review").joinpath("page")
    for route, (name, kind) in _FILES.items():
        text = page.joinpath(name).read_text("utf-8")
        app.router.add_get(route, _static(text, kind))
    app.on_cleanup.append(review.close)
    app.router.add_get("/api/state", review.state)
    app.router.add_get("/api/visit/{id}", review.visit)
    app.router.add_post("/api/answer", review.answer)
    return app


def _static(text: str, kind: str) -> _Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type=kind, charset="utf-8")

    return handler


def _answered(body: object, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


class _Review:
    """The routes."""

    def __init__(
        self,
        plan: ReviewPlan,
        items: Mapping[str, ReviewItem],
        book: AnswerBook,
        tokens: Mapping[str, str],
    ) -> None:
        self._plan, self._items, self._book = plan, items, book
        self._tokens = {name: _digest(token) for name, token in tokens.items()}
        self._fixed = {
            name: {visit.id: visit for visit in visits(plan, name, book.people[name].answered)}
            for name in plan.people
            if not plan.queue
        }
        self._everybody = {**book.gone, **book.people}
        self._disputes = Disputes(plan, items, self._everybody)
        self._queue = Queue(plan, items, self._everybody, book.folder) if plan.queue else None
        self._wrong: dict[str, deque[float]] = defaultdict(deque)

    async def close(self, app: web.Application) -> None:
        """Close what is open when the server ends."""
        if self._queue is not None:
            self._queue.close()

    def _visits(self, person: Person) -> Mapping[str, Visit]:
        """Return what is on a person's list now, in order, by id."""
        if person.name in self._plan.adjudicators:
            return {id: Visit(item=id, shows_judgment=False) for id in self._disputes.listed()}
        if self._queue is not None:
            return {visit.id: visit for visit in self._queue.visits(person)}
        return self._fixed[person.name]

    def _own_stage(self, person: Person) -> Stage:
        return "adjudicated" if person.name in self._plan.adjudicators else "blind"

    def _own(self, person: Person, visit: Visit) -> Answer | None:
        return person.current.get((visit.id, self._own_stage(person)))

    def _person(self, request: web.Request) -> Person:
        """Identify the requester; every token is compared, so timing reveals nothing."""
        given = _digest(request.headers.get("Authorization", "").removeprefix("Bearer "))
        found = None
        for name, token in self._tokens.items():
            if hmac.compare_digest(given, token):
                found = name
        if found is not None:
            return self._book.people[found]
        self._count_wrong(request.remote or "")
        raise web.HTTPUnauthorized(reason="this link opens nothing any more; ask for a new one")

    def _count_wrong(self, address: str) -> None:
        most, window = _WRONG_TOKENS
        now = time.monotonic()
        if len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.clear()
        wrong = self._wrong[address]
        while wrong and wrong[0] < now - window:
            wrong.popleft()
        if len(wrong) >= most:
            raise web.HTTPTooManyRequests(reason="too many wrong links; wait a minute")
        wrong.append(now)

    async def state(self, request: web.Request) -> web.Response:
        person = self._person(request)
        mine = self._visits(person).values()
        return _answered(
            {
                "person": person.name,
                "mode": self._plan.mode,
                "asks_score": self._plan.asks_score,
                "own_stage": self._own_stage(person),
                "grows": self._own_stage(person) == "adjudicated" or self._plan.queue,
                "run": self._plan.run_id,
                "visits": [
                    {
                        "id": visit.id,
                        "state": self._state(person, visit),
                        "flag": (visit.id, "flag") in person.current,
                        "title": self._title(visit),
                    }
                    for visit in mine
                ],
            }
        )

    def _title(self, visit: Visit) -> str:
        item = self._items.get(visit.item)
        return "an item that is gone" if item is None else item.title

    async def visit(self, request: web.Request) -> web.Response:
        person = self._person(request)
        visit, item = self._found(person, request.match_info["id"])
        own = self._own(person, visit)
        body = self._material(person, item)
        body["visit"] = visit.id
        body["questions"] = [question.model_dump() for question in self._questions(item)]
        body["answers"] = {
            answer.stage: answer.model_dump(mode="json")
            for answer in (own, person.reveal(visit.id))
            if answer is not None
        }
        body["changed"] = own is not None and own.content != item.content
        body["judgment"] = self._judgment(person, visit, item)
        body["people"] = self._others(person, item)
        return _answered(body)

    def _found(self, person: Person, visit_id: str) -> tuple[Visit, ReviewItem]:
        visit = self._visits(person).get(visit_id)
        if visit is None:
            raise web.HTTPNotFound(reason="this item is not on your list (any more)")
        item = self._items.get(visit.item)
        if item is None:
            raise web.HTTPGone(reason="the run no longer holds this item")
        return visit, item

    def _questions(self, item: ReviewItem) -> tuple[Question, ...]:
        return questions_of(self._plan.questions, of_two=item.of_two)

    def _material(self, person: Person, item: ReviewItem) -> dict[str, Any]:
        """Return the texts and the question, and nothing of the judge's answer."""
        judged = [field.name for field in item.sample.judged]
        if item.pair is not None:
            judged = shown_first(self._plan, person.name, item.id, item.pair)
        # Of a pair the question is asked of each output: "Is the output ...?"
        asked = item.sample
        if item.pair is not None and "output" not in {field.name for field in asked.told}:
            one = Field(name="output", text="", role="judged")
            asked = Sample(id=asked.id, fields=(*asked.told, one))
        labels = {field.name: field.name for field in asked.fields}
        names = [*(field.name for field in item.sample.told), *judged]
        return {
            "content": item.content,
            "pair": item.is_pair,
            "of_two": item.of_two,
            "title": item.criterion.heading,
            "question": item.criterion.question_for(asked, labels),
            "levels": [
                {"score": score, "text": text}
                for score, text in item.criterion.rubric.levels.items()
            ],
            "fields": [
                {"name": name, "text": item.sample[name], "judged": name in judged}
                for name in names
            ],
        }

    def _others(self, person: Person, item: ReviewItem) -> list[dict[str, Any]]:
        """Return, for an adjudicator, the people's answers, without names and in changing order."""
        if person.name not in self._plan.adjudicators:
            return []
        names = sorted(
            self._everybody,
            key=lambda name: chance(self._plan, f"seat of {name}", person.name, item.id),
        )
        given = (self._everybody[name].blind(item.id) for name in names)
        return [
            answer.model_dump(mode="json", include={"score", "preferred", "spans", "note"})
            for answer in given
            if answer is not None and answer.content == item.content
        ]

    def _is_shown(self, person: Person, visit: Visit, item: ReviewItem) -> bool:
        """Whether the judge's answer may be shown now."""
        if self._plan.shows == "first":
            return True
        own = self._own(person, visit)
        return visit.shows_judgment and own is not None and own.content == item.content

    def _judgment(self, person: Person, visit: Visit, item: ReviewItem) -> dict[str, Any] | None:
        outcome = item.outcome
        if outcome is None or not self._is_shown(person, visit, item):
            return None
        if isinstance(outcome, Judgment):
            named = [field.name for field in item.sample.judged]
            return {
                "score": outcome.score,
                "preferred": named[outcome.score] if item.of_two else None,
                "reasoning": outcome.reasoning,
                "marks": [span.model_dump() for mark in outcome.highlights for span in mark.spans],
                "unplaced": [mark.phrase for mark in outcome.highlights if not mark.spans],
                "rejected": None if item.rejected is None else item.rejected.text,
            }
        first = next((o for o in outcome.orders if isinstance(o, Judgment)), None)
        return {
            "preferred": outcome.preferred,
            "flipped": outcome.flipped,
            "reasoning": first.reasoning if first else None,
            "marks": [
                span.model_dump()
                for mark in (first.highlights if first else ())
                for span in mark.spans
            ],
            "unplaced": [],
        }

    async def answer(self, request: web.Request) -> web.Response:
        person = self._person(request)
        try:
            sent = await request.json()
        except ValueError as exc:
            raise web.HTTPBadRequest(reason="no JSON") from exc
        if not isinstance(sent, dict):
            raise web.HTTPBadRequest(reason="no answer")
        visit, item = self._found(person, str(sent.pop("visit", "")))
        if sent.get("id") in person.ids:  # a retry: the page missed the confirmation
            return self._kept(str(sent["id"]), person, visit, item)
        if sent.get("stage") == "blind" and self._is_shown(person, visit, item):
            sent["stage"] = "blind" if self._plan.shows == "first" else "after"
        try:
            answer = Answer.model_validate(
                {
                    **sent,
                    "person": person.name,
                    "visit": visit.id,
                    "item": visit.item,
                    "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                }
            )
        except ValidationError as exc:
            raise web.HTTPUnprocessableEntity(reason=_line(str(first_problem(exc)))) from exc
        wrong = self._wrong_in(answer, item, self._own_stage(person))
        if wrong:
            raise web.HTTPUnprocessableEntity(reason=_line(wrong))
        if answer.content != item.content:
            raise web.HTTPConflict(reason="the text has changed; load the page again")
        if answer.stage == "reveal" and not self._is_shown(person, visit, item):
            raise web.HTTPConflict(reason="the own answer comes first")
        self._book.add(answer)
        return self._kept(answer.id, person, visit, item)

    def _kept(self, id: str, person: Person, visit: Visit, item: ReviewItem) -> web.Response:
        state = self._state(person, visit)
        shown = self._judgment(person, visit, item)
        return _answered({"saved": id, "state": state, "judgment": shown})

    def _state(self, person: Person, visit: Visit) -> str:
        """`open`, `half` (own answer given, verdict missing), `done` or `skipped`.

        An answer to a text that has changed since leaves the item open.
        """
        own, item = self._own(person, visit), self._items.get(visit.item)
        if own is not None and (item is None or own.content == item.content):
            wants_more = self._plan.shows == "after" and visit.shows_judgment
            return "half" if wants_more and person.reveal(visit.id) is None else "done"
        return "skipped" if (visit.id, "skip") in person.current else "open"

    def _wrong_in(self, answer: Answer, item: ReviewItem, own_stage: Stage) -> str:
        """Return why an answer does not fit this item; empty if it does."""
        if answer.stage in ("skip", "flag"):
            return ""
        if (answer.stage == "adjudicated") is not (own_stage == "adjudicated"):
            return "adjudicators, and nobody else, give adjudicated answers"
        own = answer.stage != "reveal"
        verdicts = (answer.reason_right, answer.marks_right, answer.score_right)
        if own and any(verdicts):
            return "a verdict comes after the judge's answer"
        if why := misfit(answer, item):
            return why
        if own and self._plan.asks_score and answer.score is None and answer.preferred is None:
            return "an answer has a score, or names the better output"
        choices = {question.key: question.choices for question in self._questions(item)}
        if any(said not in choices.get(key, ()) for key, said in answer.questions.items()):
            return "the form has no such question or choice"
        return ""


def _line(text: str) -> str:
    """Return a one-line reason phrase."""
    return " ".join(text.split())[:200]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
