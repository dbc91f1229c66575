"""The page's server: loopback, one link with a secret for each person, nothing from outside.

The secret stands behind `#` in the link, so that it is in no log and in no request line; the page
sends it as a bearer token. No path of a request reaches the file system: every route is written
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

from glider.core.errors import GliderError, RunError, SetupError
from glider.core.judgments import Comparison, Judgment, Span
from glider.review.answers import Answer, AnswerBook, Person
from glider.review.items import ReviewItem
from glider.review.plan import FOLDER, ReviewPlan, Visit, shown_first, visits
from glider.store.atomic import write_json

_LINKS = "links.json"
_MOST_BODY = 1 << 20
_WRONG_TOKENS = (20, 60.0)
"""So many wrong tokens from one address in so many seconds, and no more are looked at."""
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
    """A secret for each person; kept beside the answers, readable by its owner alone.

    Args:
        renew: make new ones, so that links that were given away open nothing any more.

    Raises:
        RunError: the file is damaged or cannot be written.
    """
    path = run / FOLDER / _LINKS
    known: dict[str, str] = {}
    if path.exists() and not renew:
        try:
            known = dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError) as exc:
            raise RunError(
                f"{path} cannot be read: {exc}", hint="--new-links makes it anew"
            ) from exc
    found = {name: known.get(name) or secrets.token_urlsafe(24) for name in people}
    if found != known:
        write_json(path, found)
    path.chmod(0o600)
    return found


def check_host(host: str, *, allow_remote: bool) -> None:
    """Only this machine, unless somebody says that others may come.

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
    """The application, for a runner or a test.

    Args:
        items: id to item, for every item of the plan.
        tokens: person to secret.
        any_host: requests may name any host; else only this machine, which keeps other pages of
            the browser from asking through a name of their own.
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
    app.router.add_get("/api/state", review.state)
    app.router.add_get("/api/visit/{number}", review.visit)
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
        self._visits = {name: visits(plan, name) for name in plan.people}
        self._wrong: dict[str, deque[float]] = defaultdict(deque)

    def _person(self, request: web.Request) -> Person:
        """Who asks; every token is compared, so that the time taken tells nothing."""
        address = request.remote or ""
        wrong = self._wrong[address]
        most, window = _WRONG_TOKENS
        now = time.monotonic()
        while wrong and wrong[0] < now - window:
            wrong.popleft()
        if len(wrong) >= most:
            raise web.HTTPTooManyRequests(reason="too many wrong links; wait a minute")
        given = _digest(request.headers.get("Authorization", "").removeprefix("Bearer "))
        found = None
        for name, token in self._tokens.items():
            if hmac.compare_digest(given, token):
                found = name
        if found is None:
            wrong.append(now)
            raise web.HTTPUnauthorized(reason="this link opens nothing; ask for a new one")
        return self._book.people[found]

    async def state(self, request: web.Request) -> web.Response:
        person = self._person(request)
        mine = self._visits[person.name]
        return _answered(
            {
                "person": person.name,
                "mode": self._plan.mode,
                "run": self._plan.run_id,
                "questions": [question.model_dump() for question in self._plan.questions],
                "visits": [
                    {
                        "id": visit.id,
                        "state": _state(person, visit, self._plan),
                        "flag": (visit.id, "flag") in person.current,
                        "title": self._title(visit),
                    }
                    for visit in mine
                ],
            }
        )

    def _title(self, visit: Visit) -> str:
        item = self._items.get(visit.item)
        if item is None:
            return "an item that is gone"
        return " ".join(item.sample.judged[0].text[:200].split())[:80]

    async def visit(self, request: web.Request) -> web.Response:
        person = self._person(request)
        visit, item = self._found(person, request.match_info["number"])
        own = person.blind(visit.id)
        body = self._material(person, item)
        body["visit"] = visit.id
        body["answers"] = {
            stage: answer.model_dump(mode="json")
            for stage in ("blind", "reveal")
            if (answer := person.current.get((visit.id, stage)))  # type: ignore[call-overload]
        }
        body["changed"] = own is not None and own.content != item.content
        if own is not None:
            body["judgment"] = self._judgment(person, visit, item)
        return _answered(body)

    def _found(self, person: Person, number: str) -> tuple[Visit, ReviewItem]:
        mine = self._visits[person.name]
        if not number.isdecimal() or int(number) >= len(mine):
            raise web.HTTPNotFound(reason="there is no such item")
        visit = mine[int(number)]
        item = self._items.get(visit.item)
        if item is None:
            raise web.HTTPGone(reason="the run no longer holds this item")
        return visit, item

    def _material(self, person: Person, item: ReviewItem) -> dict[str, Any]:
        """What is shown before anything is answered: never a word of the judge's."""
        judged = [field.name for field in item.sample.judged]
        if isinstance(item.outcome, Comparison):
            judged = shown_first(
                self._plan, person.name, item.id, [item.outcome.first, item.outcome.second]
            )
        labels = {field.name: field.name for field in item.sample.fields}
        names = [*(field.name for field in item.sample.told), *judged]
        return {
            "content": item.content,
            "pair": isinstance(item.outcome, Comparison),
            "title": item.criterion.heading,
            "question": item.criterion.question_for(item.sample, labels),
            "levels": [
                {"score": score, "text": text}
                for score, text in item.criterion.rubric.levels.items()
            ],
            "fields": [
                {"name": name, "text": item.sample[name], "judged": name in judged}
                for name in names
            ],
        }

    def _judgment(self, person: Person, visit: Visit, item: ReviewItem) -> dict[str, Any] | None:
        if not visit.shows_judgment or self._plan.mode == "label":
            return None
        outcome = item.outcome
        if isinstance(outcome, Judgment):
            return {
                "score": outcome.score,
                "reasoning": outcome.reasoning,
                "marks": [span.model_dump() for mark in outcome.highlights for span in mark.spans],
                "unplaced": [mark.phrase for mark in outcome.highlights if not mark.spans],
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
        visit, item = self._found(person, str(sent.pop("number", "")))
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
            first = exc.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise web.HTTPUnprocessableEntity(reason=f"{where}: {first['msg']}"[:200]) from exc
        self._check(answer, visit, item, person)
        self._book.add(answer)
        body: dict[str, Any] = {"saved": answer.id, "state": _state(person, visit, self._plan)}
        if answer.stage == "blind":
            body["judgment"] = self._judgment(person, visit, item)
        return _answered(body)

    def _check(self, answer: Answer, visit: Visit, item: ReviewItem, person: Person) -> None:
        if answer.content != item.content:
            raise web.HTTPConflict(reason="the text has changed; load the page again")
        if answer.score is not None and answer.score not in item.criterion.rubric.levels:
            raise web.HTTPUnprocessableEntity(reason="the rubric has no such score")
        judged = {field.name: field.text for field in item.sample.judged}
        if answer.preferred and answer.preferred not in judged:
            raise web.HTTPUnprocessableEntity(reason="there is no such output")
        for span in answer.spans:
            if not _fits(span, judged):
                raise web.HTTPUnprocessableEntity(reason="a mark lies outside its text")
        if answer.stage == "reveal" and person.blind(visit.id) is None:
            raise web.HTTPConflict(reason="the own answer comes first")


def _fits(span: Span, texts: Mapping[str, str]) -> bool:
    return span.field in texts and 0 <= span.start < span.end <= len(texts[span.field])


def _state(person: Person, visit: Visit, plan: ReviewPlan) -> str:
    """`open`, `half` (the own answer is there, the verdict is not), `done` or `skipped`."""
    if person.blind(visit.id) is not None:
        wants_more = plan.mode in ("verify", "compare") and visit.shows_judgment
        return "half" if wants_more and person.reveal(visit.id) is None else "done"
    return "skipped" if (visit.id, "skip") in person.current else "open"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
