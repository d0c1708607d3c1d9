"""The rules of docs/contributing.md: a module imports at its top only from rooms before its own, and is not long."""

import ast
from pathlib import Path

import twofold

ROOMS = (
    "errors units bond_graph space fixed products interrupt",
    "beads bonding selection mapping groups ensemble force_mapping",
    "files packaged run_folder",
    "chart noise energy",
    "objectives sampling simulation systems",
    "recipes choice architectures model",
    "training",
    "analysis",
    "conditions",
    "starts force_verdict force_check fitting reweighting tempering",
    "molecular_dynamics",
    "diagnosis",
    "report",
    "known_density",
    "evaluation diagnosing",
    "cli",
)
LONGEST = 300
PLACE = {name: place for place, names in enumerate(ROOMS) for name in names.split()}
SOURCE = Path(twofold.__file__).parent


def imported(path: Path) -> set[str]:
    """Rooms that a file imports at its top."""
    nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom) and node.module]
    parts = [[*node.module.split("."), alias.name] for node in nodes for alias in node.names]
    return {part[1] for part in parts if part[0] == "twofold"}


def test_every_module_looks_only_back():
    wrong = []
    for path in sorted(SOURCE.rglob("*.py")):
        inside = path.relative_to(SOURCE)
        room = inside.parts[0].removesuffix(".py")
        if not room.startswith("__"):
            wrong += [f"{inside} imports {other}" for other in imported(path) if PLACE[other] > PLACE[room]]
    assert not wrong


def test_no_file_is_too_long():
    long = {str(path.relative_to(SOURCE)): len(path.read_text().splitlines()) for path in SOURCE.rglob("*.py")}
    assert not {name: lines for name, lines in long.items() if lines > LONGEST}
