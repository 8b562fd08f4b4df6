"""Who may import whom (the design's table), read from the sources: imports inside functions count too."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OWN = ("app", "chalicelib", "tiltyard")

DOMAINS = (
    "serving",
    "registry",
    "gating",
    "approvals",
    "monitoring",
    "triage",
    "training",
    "governance",
    "outbox",
)
LIBRARY = ("contract", "runtime", "stats", "audit", "events", "report")

# What each layer may import of ours beside itself; the longest matching prefix is the layer of a module.
LOW = {f"tiltyard.{part}" for part in LIBRARY} | {"tiltyard.errors", "chalicelib.lineage"}
TABLE: dict[str, set[str]] = {
    "app": {"chalicelib.handlers"},
    "chalicelib.handlers": {
        "chalicelib.bootstrap",
        "chalicelib.ports",
        "chalicelib.settings",
        *(f"chalicelib.{domain}" for domain in DOMAINS),
        *LOW,
    },
    "chalicelib.bootstrap": {
        "chalicelib.aws",
        "chalicelib.settings",
        "chalicelib.ports",
        "chalicelib.lineage",
    },
    "chalicelib.aws": {"chalicelib.ports", "chalicelib.settings", "chalicelib.lineage", "tiltyard.errors"},
    "chalicelib.settings": {"tiltyard.errors"},
    "chalicelib.ports": {"chalicelib.lineage", "tiltyard.errors"},
    **{
        f"chalicelib.{domain}": {"chalicelib.ports", *(f"chalicelib.{other}" for other in DOMAINS), *LOW}
        for domain in DOMAINS
    },
    "chalicelib.lineage": LOW,
    "tiltyard.errors": set(),
    **{
        f"tiltyard.{part}": {f"tiltyard.{other}" for other in LIBRARY} | {"tiltyard.errors"}
        for part in LIBRARY
    },
    "tiltyard": {"tiltyard"},
}

# Foreign packages that only these may import, lazily or not.
ONLY: dict[str, tuple[str, ...]] = {
    "boto3": ("chalicelib.aws", "tiltyard.local"),
    "botocore": ("chalicelib.aws", "tiltyard.local"),
    "chalice": ("app", "chalicelib.handlers"),
    "pydantic": ("chalicelib.handlers",),
    "pydantic_core": ("chalicelib.handlers",),
    "jwt": ("chalicelib.handlers.tokens", "tiltyard.local"),
    # The user's own transformer has to be a scikit-learn one; `tiltyard.contract` gives it out on demand.
    "sklearn": ("tiltyard.training", "tiltyard.contract.step"),
    "pandas": ("tiltyard.training", "tiltyard.contract.step", "tiltyard.client", "tiltyard.cli"),
    "onnxmltools": ("tiltyard.training",),
    "skl2onnx": ("tiltyard.training",),
    "onnx": ("tiltyard.training", "tiltyard.runtime"),
    "onnxruntime": ("tiltyard.runtime", "tiltyard.training"),
    "ministack": ("tiltyard.local",),
}

# At the top of these modules stands nothing heavy: every function of the zip imports them.
LIGHT = ("chalicelib.handlers", "chalicelib.bootstrap", "app")
LATE_MODULES = (
    "chalicelib.handlers.schemas",
    "chalicelib.handlers.schema_types",
    "chalicelib.handlers.protocol_schemas",
    "chalicelib.handlers.lineage_schemas",
    "chalicelib.handlers.lineage_operations",
    "chalicelib.handlers.operation",
    "chalicelib.handlers.operations",
    "chalicelib.handlers.audit_operations",
    "chalicelib.handlers.audit_schemas",
    "chalicelib.handlers.alert_operations",
    "chalicelib.handlers.alert_schemas",
    "chalicelib.handlers.webhook_operations",
    "chalicelib.handlers.webhook_schemas",
    "chalicelib.handlers.series_operations",
    "chalicelib.handlers.series_schemas",
    "chalicelib.handlers.clock_operations",
    "chalicelib.handlers.clock_schemas",
    "chalicelib.handlers.telemetry_operations",
    "chalicelib.handlers.telemetry_schemas",
    "chalicelib.handlers.tokens",
)
HEAVY = ("pydantic", "jwt", "cryptography", "boto3", "chalicelib.aws", *LATE_MODULES)

Import = tuple[str, int, bool]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> list[Path]:
    return [
        ROOT / "app.py",
        *sorted((ROOT / "chalicelib").rglob("*.py")),
        *sorted((ROOT / "tiltyard").rglob("*.py")),
    ]


@functools.cache
def imports_of(path: Path) -> tuple[Import, ...]:
    """Modules that a file imports: name, line, and whether as soon as it is imported itself."""
    return tuple(_imports_of(path))


def _imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    late = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef) or _is_for_types(outer)
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        is_early = id(node) not in late
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno, is_early
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                # `from package import module` imports the module.
                full = f"{node.module}.{alias.name}"
                yield (full if is_module(full) else node.module), node.lineno, is_early


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def is_module(name: str) -> bool:
    path = ROOT / Path(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def belongs(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def layer_of(module: str) -> str:
    return max((layer for layer in TABLE if belongs(module, layer)), key=len)


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_imports_point_down(path):
    module = module_name(path)
    if module == "chalicelib":
        return
    layer = layer_of(module)

    breaches = [
        f"line {line}: {imported}"
        for imported, line, _ in imports_of(path)
        if imported.partition(".")[0] in OWN
        and not any(belongs(imported, allowed) for allowed in (layer, *TABLE[layer]))
    ]

    assert breaches == []


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_no_domain_imports_a_siblings_service(path):
    module = module_name(path)
    domain = next((d for d in DOMAINS if belongs(module, f"chalicelib.{d}")), None)

    breaches = [
        f"line {line}: {imported}"
        for imported, line, _ in imports_of(path)
        for other in DOMAINS
        if domain is not None and other != domain and belongs(imported, f"chalicelib.{other}.service")
    ]

    assert breaches == []


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_foreign_packages_stay_in_their_rooms(path):
    module = module_name(path)

    breaches = [
        f"line {line}: {imported}"
        for imported, line, _ in imports_of(path)
        if (rooms := ONLY.get(imported.partition(".")[0])) is not None
        and not any(belongs(module, room) for room in rooms)
    ]

    assert breaches == []


@pytest.mark.parametrize("path", sources(), ids=module_name)
def test_handlers_load_heavy_modules_late(path):
    module = module_name(path)
    is_light = any(belongs(module, light) for light in LIGHT) and module not in LATE_MODULES

    breaches = [
        f"line {line}: {imported}"
        for imported, line, is_early in imports_of(path)
        if is_light and is_early and any(belongs(imported, heavy) for heavy in HEAVY)
    ]

    assert breaches == []


@pytest.mark.parametrize("name", ["sklearn", "pandas", "skl2onnx", "onnxmltools"])
def test_the_service_imports_no_training_library(name):
    breaches = [
        f"{module_name(path)}: line {line}"
        for path in sources()
        if not belongs(module_name(path), "tiltyard")
        for imported, line, _ in imports_of(path)
        if belongs(imported, name)
    ]

    assert breaches == []


def test_only_training_uses_the_training_library():
    users = {
        module_name(path)
        for path in sources()
        for imported, _, _ in imports_of(path)
        if belongs(imported, "tiltyard.training") and belongs(module_name(path), "chalicelib")
    }

    assert users <= {"chalicelib.training.service"}


@pytest.mark.parametrize(
    "package", ["tiltyard.audit", "tiltyard.stats", "tiltyard.report", "tiltyard.errors"]
)
def test_pure_packages_need_next_to_nothing(package):
    allowed = {
        "tiltyard.audit": {"rfc8785", "cryptography"},
        "tiltyard.stats": {"numpy"},
        "tiltyard.report": set(),
        "tiltyard.errors": set(),
    }[package]

    foreign = {
        imported.partition(".")[0]
        for path in sources()
        if belongs(module_name(path), package)
        for imported, _, _ in imports_of(path)
        if imported.partition(".")[0] not in {*sys.stdlib_module_names, "tiltyard"}
    }

    assert foreign <= allowed


def test_the_table_catches_a_breach(tmp_path, monkeypatch):
    """The checker itself: a lazy import of the SDK inside a service is seen."""
    path = tmp_path / "chalicelib" / "gating" / "service.py"
    path.parent.mkdir(parents=True)
    path.write_text("def f():\n    import boto3\n    from chalicelib.registry import service\n")
    (tmp_path / "chalicelib" / "registry").mkdir()
    (tmp_path / "chalicelib" / "registry" / "service.py").touch()
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)

    assert imports_of(path) == (("boto3", 2, False), ("chalicelib.registry.service", 3, False))
    with pytest.raises(AssertionError):
        test_foreign_packages_stay_in_their_rooms(path)
    with pytest.raises(AssertionError):
        test_no_domain_imports_a_siblings_service(path)
