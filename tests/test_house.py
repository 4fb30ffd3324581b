"""The plan of the house: a room imports lower floors only, no files stand in a circle, and importing stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import unrolled

SOURCE = Path(unrolled.__file__).parent
FLOORS = {
    "errors": 0, "types": 0, "options": 0, "state": 0, "padding": 0, "randomness": 0, "check": 0, "score": 0,
    "ops": 1,
    "nn": 2, "fields": 2,
    "heads": 3,
    "align": 4, "data": 4, "search": 4, "live": 4, "testing": 4,
    "model": 5, "inputs": 5,
    "train": 6, "inspect": 6,
    "tasks": 7,
    "cli": 8,
}  # fmt: skip
BESIDE = {"__init__", "__main__"}
# Floor 0 is one room: its files share the state and the errors.
ORDER = {"errors": 0, "types": 0, "options": 1, "state": 1, "padding": 1, "randomness": 1, "check": 2, "score": 3}


def room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [
                f"{node.module}.{alias.name}" if node.module == "unrolled" else node.module for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found += [(node.lineno, name.split(".")[1]) for name in names if name.startswith("unrolled.")]
    return found


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_lower_floors_only(path: Path) -> None:
    mine = room(path)
    if mine in BESIDE:
        return
    assert mine in FLOORS, f"{mine} stands on no floor: add it to FLOORS"
    for line, other in imported_rooms(path):
        if other == mine or other == "__version__":
            continue
        assert other in FLOORS, f"{path.name}:{line} imports unrolled.{other}, which stands on no floor"
        lower = FLOORS[other] < FLOORS[mine] or (FLOORS[mine] == 0 and ORDER[other] < ORDER[mine])
        assert lower, f"{path.name}:{line} imports unrolled.{other} of floor {FLOORS[other]} from floor {FLOORS[mine]}"


def imported_files(path: Path) -> set[Path]:
    """The files of the package that this one imports, at once or late; what is imported for its types alone is not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    left_out = {inner for node in for_types for inner in ast.walk(node)}
    files: set[Path] = set()
    for node in ast.walk(tree):
        if node in left_out or not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            if not (node.module or "").startswith("unrolled"):
                continue
            # What is no file of its own is a name that the folder's or the module's own file has.
            places = [SOURCE.joinpath(*f"{node.module}.{name}".split(".")[1:]) for name in names]
            files |= {file for place in places if (file := file_of(place))} or {file_of(places[0].parent)} - {None}
        else:
            own = [name for name in names if name.startswith("unrolled.")]
            files |= {file for name in own if (file := file_of(SOURCE.joinpath(*name.split(".")[1:])))}
    # The package's own file names the rooms without importing them.
    return files - {path, SOURCE / "__init__.py"}


def file_of(place: Path) -> Path | None:
    """The file of a module or a folder of the package."""
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file in FILES), None)


def circles(imports: dict[Path, set[Path]]) -> set[frozenset[Path]]:
    """The groups of files each of which imports, by way of others, every other one."""
    reach = {path: set(others) for path, others in imports.items()}
    size = 0
    while size != (size := sum(map(len, reach.values()))):
        for others in reach.values():
            others |= {file for other in others for file in reach[other]}
    inside = [path for path in reach if path in reach[path]]
    return {frozenset(other for other in reach[path] if path in reach[other]) for path in inside}


def test_no_files_import_each_other_in_a_circle() -> None:
    found = circles({path: imported_files(path) for path in FILES})
    assert not found, [sorted(str(path.relative_to(SOURCE)) for path in group) for group in found]


def test_circles_are_seen() -> None:
    a, b, c, d = (Path(name) for name in "abcd")
    assert circles({a: {b}, b: {c}, c: {a, d}, d: set()}) == {frozenset({a, b, c})}


# Files that answer the same questions under the same names: the parts of an op, the commands of a task, the verbs.
FAMILIES = re.compile(r"ops/(?!core|native|newton)\w+/|tasks/commands/|cli/")


def public_names(files: dict[str, str]) -> dict[str, list[str]]:
    """The files that define each public class and function of the package; a family's functions are its own."""
    found: dict[str, list[str]] = {}
    for path, source in files.items():
        for node in ast.parse(source).body:
            own = isinstance(node, ast.FunctionDef) and not FAMILIES.match(path)
            if (own or isinstance(node, ast.ClassDef)) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(path)
    return found


def test_a_public_name_stands_for_one_idea() -> None:
    names = public_names({path.relative_to(SOURCE).as_posix(): path.read_text(encoding="utf-8") for path in FILES})
    assert not {name: places for name, places in names.items() if len(places) > 1}


def test_names_that_stand_twice_are_seen() -> None:
    lstm, gru = "def samples(): ...\nclass Sizes: ...", "def samples(): ...\nclass _Sizes: ..."
    names = public_names({"ops/lstm/a.py": lstm, "ops/gru/a.py": gru, "data/b.py": "class Sizes: ...\ndef read(): ..."})
    assert names == {"Sizes": ["ops/lstm/a.py", "data/b.py"], "read": ["data/b.py"]}


def test_scores_are_numpy_alone() -> None:
    for path in sorted((SOURCE / "score").glob("*.py")):
        assert not re.search(r"^(import|from) torch\b", path.read_text(encoding="utf-8"), re.M), path.name


def test_only_the_training_room_imports_accelerate() -> None:
    users = {
        room(path) for path in FILES if "import accelerate" in path.read_text() or "from accelerate" in path.read_text()
    }
    assert users == {"train"}


@pytest.mark.parametrize("statement", ["import unrolled", "import unrolled.cli"])
def test_importing_stays_light(statement: str) -> None:
    heavy = ["torch", "matplotlib", "pandas", "polars", "pyarrow", "accelerate", "onnx", "triton", "fastapi"]
    code = f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_importing_the_layers_leaves_out_what_they_do_not_need() -> None:
    heavy = ["matplotlib", "pandas", "polars", "pyarrow", "accelerate", "onnx", "torch._dynamo", "torch._inductor"]
    code = f"import sys; import unrolled.nn; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_nothing_is_unpickled_or_executed() -> None:
    forbidden = re.compile(
        r"import pickle|(?<!safetensors\.)torch\.(load|save)\(|allow_pickle=True|(?<![\w.])(eval|exec)\("
    )
    for path in FILES:
        found = forbidden.search(path.read_text(encoding="utf-8"))
        assert found is None, f"{path} uses {found[0] if found else ''}"
