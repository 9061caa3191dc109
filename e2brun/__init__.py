"""Run code that nobody has reviewed, in a sandbox."""

__version__ = "0.1.0"

TYPE_CHECKING = False  # as typing's: type checkers know it by name, and it costs no import
if TYPE_CHECKING:
    from e2brun.errors import (
        AuthenticationFailed,
        E2brunError,
        FileTransferFailed,
        InstallFailed,
        RateLimited,
        SandboxError,
        SandboxLost,
        SandboxUnavailable,
        Unsupported,
        UsageError,
    )
    from e2brun.primitives.base import (
        FunctionPrimitive,
        ParallelPrimitive,
        Primitive,
        SequentialPrimitive,
        primitive,
    )
    from e2brun.primitives.batch import BatchPrimitive
    from e2brun.primitives.benchmark import BenchmarkSuite, Comparison, Measurement, compare
    from e2brun.primitives.cache import CachePrimitive
    from e2brun.primitives.cache_store import CacheStore, MemoryCache, SQLiteCache
    from e2brun.primitives.choosing import ConditionalPrimitive, RouterPrimitive
    from e2brun.primitives.code import CodeInput, CodeOutput
    from e2brun.primitives.context import WorkflowContext
    from e2brun.primitives.execution import CodeExecutionPrimitive
    from e2brun.primitives.metrics import Metrics
    from e2brun.primitives.mock import MockPrimitive, create_test_context
    from e2brun.primitives.retry import FallbackPrimitive, RetryPrimitive
    from e2brun.primitives.sandboxes import close_backends
    from e2brun.primitives.timeout import StepTimeout, TimeoutPrimitive
    from e2brun.primitives.tracing import Tracing, otlp_provider

# Where each name is: imported when it is first used, so that the command line stays quick.
_HOMES = {
    "errors": (
        "AuthenticationFailed", "E2brunError", "FileTransferFailed", "InstallFailed",
        "RateLimited", "SandboxError", "SandboxLost", "SandboxUnavailable", "Unsupported",
        "UsageError",
    ),
    "primitives.base": (
        "FunctionPrimitive", "ParallelPrimitive", "Primitive", "SequentialPrimitive", "primitive",
    ),
    "primitives.batch": ("BatchPrimitive",),
    "primitives.benchmark": ("BenchmarkSuite", "Comparison", "Measurement", "compare"),
    "primitives.cache": ("CachePrimitive",),
    "primitives.cache_store": ("CacheStore", "MemoryCache", "SQLiteCache"),
    "primitives.code": ("CodeInput", "CodeOutput"),
    "primitives.choosing": ("ConditionalPrimitive", "RouterPrimitive"),
    "primitives.context": ("WorkflowContext",),
    "primitives.execution": ("CodeExecutionPrimitive",),
    "primitives.metrics": ("Metrics",),
    "primitives.mock": ("MockPrimitive", "create_test_context"),
    "primitives.retry": ("FallbackPrimitive", "RetryPrimitive"),
    "primitives.sandboxes": ("close_backends",),
    "primitives.timeout": ("StepTimeout", "TimeoutPrimitive"),
    "primitives.tracing": ("Tracing", "otlp_provider"),
}  # fmt: skip

__all__ = [
    "AuthenticationFailed", "BatchPrimitive", "BenchmarkSuite", "CachePrimitive", "CacheStore",
    "CodeExecutionPrimitive", "CodeInput", "CodeOutput", "Comparison", "ConditionalPrimitive",
    "E2brunError", "FallbackPrimitive", "FileTransferFailed", "FunctionPrimitive",
    "InstallFailed", "Measurement", "MemoryCache", "Metrics", "MockPrimitive",
    "ParallelPrimitive", "Primitive", "RateLimited", "RetryPrimitive", "RouterPrimitive",
    "SQLiteCache", "SandboxError", "SandboxLost", "SandboxUnavailable", "SequentialPrimitive",
    "StepTimeout", "TimeoutPrimitive", "Tracing", "Unsupported", "UsageError", "WorkflowContext",
    "__version__", "close_backends", "compare", "create_test_context", "otlp_provider",
    "primitive",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker is to see a mistyped name for what it is

    def __getattr__(name: str) -> object:
        for home, names in _HOMES.items():
            if name in names:
                from importlib import import_module

                value = globals()[name] = getattr(import_module(f"e2brun.{home}"), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
