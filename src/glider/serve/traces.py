"""A span of OpenTelemetry for each request, for who has set OpenTelemetry up.

A span says which route, how it ended and what was judged: criteria, scores, codes of failures,
tokens. It holds no text and no key. Names follow the semantic conventions of HTTP servers and of
`gen_ai.evaluation.result`; OpenTelemetry is imported when a `Traces` is made, and not before.
"""

from collections.abc import Mapping
from typing import Any

from glider._version import __version__
from glider.core.errors import MissingExtra, SetupError
from glider.core.judgments import Comparison, Failure, Outcome
from glider.serve.metrics import OTHER


class RequestSpan:
    """The span of one request."""

    def __init__(self, span: Any, error: Any) -> None:
        self._span, self._error = span, error
        self._input = self._output = 0

    def judged(self, outcome: Outcome, *, known: bool) -> None:
        """Add an outcome, of a configured criterion or of one from the request."""
        for part in outcome.orders if isinstance(outcome, Comparison) else (outcome,):
            self._input += part.usage.prompt_tokens
            self._output += part.usage.completion_tokens
        told: dict[str, Any] = {"gen_ai.evaluation.name": outcome.criterion if known else OTHER}
        if isinstance(outcome, Failure):
            told["error.type"] = f"{outcome.stage}/{outcome.code}"
        elif isinstance(outcome, Comparison):
            if outcome.p_first is not None:
                told["gen_ai.evaluation.score.value"] = outcome.p_first
        else:
            value = outcome.score if outcome.expected is None else outcome.expected
            told["gen_ai.evaluation.score.value"] = value
        self._span.add_event("gen_ai.evaluation.result", told)

    def decided(self, policy: str, verdict: str, because: str) -> None:
        """Add a policy's verdict."""
        said = {"glider.policy": policy, "glider.verdict": verdict, "glider.because": because}
        self._span.add_event("glider.verdict", said)

    def end(self, status: int | None) -> None:
        """End it.

        Args:
            status: of the answer; None if the client has gone.
        """
        self._span.set_attribute("gen_ai.usage.input_tokens", self._input)
        self._span.set_attribute("gen_ai.usage.output_tokens", self._output)
        if status is None:
            self._span.set_attribute("error.type", "gone")
        else:
            self._span.set_attribute("http.response.status_code", status)
            if status >= 500:
                self._span.set_attribute("error.type", str(status))
                self._span.set_status(self._error)
        self._span.end()


class Traces:
    """Begins spans, with the tracer that the user has set up."""

    def __init__(self) -> None:
        """Find the tracer.

        Raises:
            MissingExtra: OpenTelemetry is not installed.
            SetupError: nobody has said where spans go.
        """
        try:
            from opentelemetry import propagate, trace
        except ImportError:
            raise MissingExtra("--traces", "otel") from None
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            raise SetupError(
                "--traces: OpenTelemetry is not set up, so spans would go nowhere",
                hint="opentelemetry-instrument glider serve --traces, with "
                "OTEL_EXPORTER_OTLP_ENDPOINT set; or trace.set_tracer_provider in Python",
            )
        self._tracer = trace.get_tracer("glider.serve", __version__)
        self._kind = trace.SpanKind.SERVER
        self._error = trace.Status(trace.StatusCode.ERROR)
        self._context_of = propagate.extract

    def begin(self, method: str, route: str, headers: Mapping[str, str]) -> RequestSpan:
        """Begin the span of a request, within the caller's trace if it names one.

        Args:
            route: the pattern of a known route.
        """
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self._context_of({name.lower(): value for name, value in headers.items()}),
            kind=self._kind,
            attributes={"http.request.method": method, "http.route": route},
        )
        return RequestSpan(span, self._error)
