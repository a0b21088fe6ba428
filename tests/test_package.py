"""The package as a whole: its public names, and what importing it costs."""

from __future__ import annotations

import importlib
import json
import pickle
import pkgutil
import subprocess
import sys
from importlib.resources import files
from importlib.util import find_spec

import pytest

import personalize_rt

CORE = ["errors", "filters", "interactions", "limits", "operations", "redaction", "rerank", "results"]
OPTIONAL = ["aiobotocore", "hypothesis", "moto", "numpy", "pandas", "pytest", "rich", "starlette", "typer", "uvicorn"]
# Rooms may be deleted, with the names that lead there.
PUBLIC = [
    name
    for name in personalize_rt.__all__
    if not name.startswith("Async") or find_spec("personalize_rt.aio") is not None
]
MODULES = [
    module.name
    for module in pkgutil.walk_packages(personalize_rt.__path__, "personalize_rt.")
    if not module.name.endswith("__main__")
]


def modules_after(statement: str) -> set[str]:
    """The modules that a new interpreter holds after a statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(process.stdout))


def test_public_names_are_sorted_and_each_leads_somewhere() -> None:
    assert personalize_rt.__all__ == sorted(set(personalize_rt.__all__))
    assert [name for name in PUBLIC if getattr(personalize_rt, name, None) is None] == []


def test_dir_lists_the_public_names_without_loading_them() -> None:
    assert set(personalize_rt.__all__) <= set(dir(personalize_rt))


@pytest.mark.parametrize("name", MODULES)
def test_each_module_has_the_names_that_it_promises(name: str) -> None:
    module = importlib.import_module(name)
    public = list(getattr(module, "__all__", []))
    assert [name for name in public if not hasattr(module, name)] == []
    assert len(public) == len(set(public))


def test_the_async_clients_are_those_of_aio_and_importable_from_the_top() -> None:
    if find_spec("personalize_rt.aio") is None:
        pytest.skip("the room was deleted")
    aio = importlib.import_module("personalize_rt.aio")
    assert [getattr(personalize_rt, name) is getattr(aio, name) for name in aio.__all__] == [True] * 4


def test_a_misspelt_name_is_an_error_that_repeats_it() -> None:
    with pytest.raises(ImportError, match="PersonaliseRuntime"):
        from personalize_rt import PersonaliseRuntime  # noqa: F401 - the import is the test
    with pytest.raises(AttributeError, match="PersonaliseRuntime"):
        _ = personalize_rt.PersonaliseRuntime


@pytest.mark.parametrize(("name", "home"), [("LocalPersonalize", "local")])
def test_a_name_that_lives_elsewhere_is_an_error_that_says_where(name: str, home: str) -> None:
    line = f"from personalize_rt.{home} import {name}"
    with pytest.raises(ImportError, match=line):
        getattr(personalize_rt, name)
    with pytest.raises(ImportError, match=line):
        exec(f"from personalize_rt import {name}")
    if find_spec(f"personalize_rt.{home}") is not None:  # it may be deleted
        exec(line)


def test_importing_the_package_alone_loads_nothing_behind_it() -> None:
    loaded = modules_after("import personalize_rt")
    assert {name for name in loaded if name.startswith("personalize_rt.")} <= {"personalize_rt._version"}
    assert loaded.isdisjoint({"attr", "attrs", "boto3", "botocore", *OPTIONAL})


@pytest.mark.parametrize("home", ["client", "aio"])
def test_clients_and_handles_are_shown_and_pickled_by_the_path_that_users_import(home: str) -> None:
    if find_spec(f"personalize_rt.{home}") is None:
        pytest.skip("the room was deleted")
    door = importlib.import_module(f"personalize_rt.{home}")
    for name in door.__all__:
        kind = getattr(door, name)
        assert repr(kind) == f"<class 'personalize_rt.{home}.{name}'>"
        assert pickle.loads(pickle.dumps(kind)) is kind


def test_the_public_names_load_neither_boto3_nor_an_optional_package() -> None:
    loaded = modules_after(f"from personalize_rt import {', '.join(PUBLIC)}")
    assert "personalize_rt.client" in loaded
    assert loaded.isdisjoint({"boto3", "botocore.client", "botocore.session", "tenacity", "urllib3", *OPTIONAL})


def test_the_core_knows_of_botocore_only_its_exceptions() -> None:
    loaded = modules_after(f"import {', '.join(f'personalize_rt.{module}' for module in CORE)}")
    of_botocore = {name for name in loaded if name.split(".")[0] == "botocore" and "vendored" not in name}
    assert of_botocore <= {"botocore", "botocore.compat", "botocore.exceptions"}
    assert loaded.isdisjoint({"asyncio", "boto3", "tenacity", "urllib3", *OPTIONAL})


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert files(personalize_rt).joinpath("py.typed").is_file()
