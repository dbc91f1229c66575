"""Counters and timings for Prometheus; labels come from the configuration, never from requests."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from glider.core.errors import MissingExtra

if TYPE_CHECKING:
    from glider.core.judgments import Outcome
    from glider.serve.lanes import Lane
    from glider.serve.policies import BoundPolicy

OTHER = "(other)"
"""Label of a criterion that came with a request."""
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """A server's counters; without prometheus-client they do nothing."""

    def __init__(
        self,
        lanes: "Callable[[], Mapping[str, Lane]]",
        policies: "Callable[[], Mapping[str, BoundPolicy]]",
    ) -> None:
        """Create the counters at zero.

        Args:
            lanes: returns the lanes by name; called at each scrape.
            policies: returns the policies by name; called at each scrape.
        """
        self._lanes, self._policies = lanes, policies
        self._registry: Any = None
        try:
            from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
        except ImportError:
            return
        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "glider_requests", "Requests.", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "glider_request_seconds", "Time to an answer.", ["route"], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self._outcomes = Counter(
            "glider_outcomes", "Judgments, failures, comparisons.", ["criterion", "kind"],
            registry=registry,
        )  # fmt: skip
        self._refused = Counter(
            "glider_refused", "Requests that were not judged.", ["reason"], registry=registry
        )
        self._verdicts = Counter(
            "glider_verdicts", "What policies said, and because of what.",
            ["policy", "verdict", "because"], registry=registry,
        )  # fmt: skip
        self._found = Counter(
            "glider_checks", "What the checks of policies found.",
            ["policy", "criterion", "found"], registry=registry,
        )  # fmt: skip
        self._of_keys = {
            name: Counter(f"glider_key_{name}", help, ["key", label], registry=registry)
            for name, label, help in (
                ("requests", "status", "Requests of a key, by the name of its owner."),
                ("outcomes", "kind", "Judgments, failures, comparisons."),
                ("tokens", "direction", "Tokens that the model read and wrote."),
            )
        }
        of_checks = {
            "promised_false_block_rate": "Share of good texts that it blocks at most, 95 %.",
            "promise_prompts": "Labelled prompts behind the promise.",
            "drift_windows": "Whole windows since the start or the last reload.",
        }
        self._of_checks = {
            name: Gauge(f"glider_{name}", help, ["policy", "criterion"], registry=registry)
            for name, help in of_checks.items()
        }
        self._drift = Gauge(
            "glider_drift_alarm", "1: the last window's rate is not that of the labelled texts.",
            ["policy", "criterion", "rate"], registry=registry,
        )  # fmt: skip
        of_lanes = {
            "waiting": "Requests that wait.",
            "running": "Requests that the engine is at.",
            "tokens_per_second": "Measured speed; NaN before the first measurement.",
        }
        self._of_lanes = {
            name: Gauge(f"glider_lane_{name}", help, ["lane"], registry=registry)
            for name, help in of_lanes.items()
        }

    def answered(self, route: str, status: int, seconds: float, owner: str | None) -> None:
        """Count an answered request; `route` is the pattern of a known route."""
        if self._registry is not None:
            if owner is not None:
                self._of_keys["requests"].labels(owner, str(status)).inc()
            self._requests.labels(route, str(status)).inc()
            self._seconds.labels(route).observe(seconds)

    def judged(self, outcome: "Outcome", *, known: bool, owner: str | None) -> None:
        """Count an outcome, of a configured criterion or of one from the request."""
        if self._registry is not None:
            if owner is not None:
                self._of_keys["outcomes"].labels(owner, outcome.kind).inc()
                parts = outcome.orders if outcome.kind == "comparison" else (outcome,)
                for usage in (part.usage for part in parts):
                    self._of_keys["tokens"].labels(owner, "input").inc(usage.prompt_tokens)
                    self._of_keys["tokens"].labels(owner, "output").inc(usage.completion_tokens)
            self._outcomes.labels(outcome.criterion if known else OTHER, outcome.kind).inc()

    def decided(self, policy: str, verdict: str, because: str) -> None:
        """Count a policy's verdict."""
        if self._registry is not None:
            self._verdicts.labels(policy, verdict, because).inc()

    def checked(self, policy: str, criterion: str, found: str) -> None:
        """Count what a check of a policy found."""
        if self._registry is not None:
            self._found.labels(policy, criterion, found).inc()

    def refused(self, reason: str) -> None:
        """Count a request that was not judged: `deadline`, `late`, `full`, `gone`, `key`,
        `limit`, `log` or `stopping`.
        """
        if self._registry is not None:
            self._refused.labels(reason).inc()

    def page(self) -> tuple[bytes, str]:
        """Return the text for Prometheus and its content type.

        Raises:
            MissingExtra: prometheus-client is not installed.
        """
        if self._registry is None:
            raise MissingExtra("/metrics", "serve")
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        from glider.serve.drift import RATES

        for gauge in (*self._of_lanes.values(), *self._of_checks.values(), self._drift):
            gauge.clear()  # a reload may have taken some away
        for policy in self._policies().values():
            for check in policy.checks:
                names = (policy.name, check.criterion.name)
                if check.promise is not None:
                    promised = self._of_checks["promised_false_block_rate"]
                    promised.labels(*names).set(check.promise.at_most)
                    self._of_checks["promise_prompts"].labels(*names).set(check.promise.n)
                if check.drift is not None:
                    self._of_checks["drift_windows"].labels(*names).set(check.drift.windows)
                    for rate in RATES:
                        self._drift.labels(*names, rate).set(rate in check.drift.alarms)
        for name, lane in self._lanes().items():
            self._of_lanes["waiting"].labels(name).set(lane.waiting)
            self._of_lanes["running"].labels(name).set(lane.running)
            speed = lane.pace.per_s
            self._of_lanes["tokens_per_second"].labels(name).set(
                float("nan") if speed is None else speed
            )
        return generate_latest(self._registry), CONTENT_TYPE_LATEST
