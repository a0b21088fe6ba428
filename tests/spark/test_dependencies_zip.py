"""The zip that ships this package to the workers of a cluster that does not have it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import personalize_rt
from personalize_rt.bulk.spark import dependencies_zip
from personalize_rt.local import LocalPersonalize

# Without site-packages, the checkout, or anything of the environment.
BARE = [sys.executable, "-I", "-S", "-c"]

USE = """
import sys
sys.path += [{archive!r}, {site!r}]
import attr, attrs, tenacity, personalize_rt
for module in (attr, attrs, tenacity, personalize_rt):
    assert module.__file__.startswith({archive!r}), module.__file__
from importlib.util import find_spec
from personalize_rt import *
import personalize_rt.bulk.spark, personalize_rt.bulk.spark.worker, personalize_rt.filters.builder
assert Filter.parse('EXCLUDE ItemID WHERE Items.GENRES IN ($GENRE)').parameters
assert LocalReranker({{"b": 1.0}}).rank(user_id="u", input_list=["a", "b"]).item_ids == ("b", "a")
assert PersonalizeRuntime(region_name="eu-west-1").connect()
retrying = PersonalizeRuntime(region_name="eu-west-1", endpoint_url="http://127.0.0.1:9", deadline=None)
retrying = retrying.with_options(retry=RetryPolicy(attempts=2, base=0.0))
try:
    retrying.get_recommendations(campaign_arn="arn:aws:personalize:eu-west-1:123456789012:campaign/c", user_id="u")
except TransportError as error:
    assert error.attempts == 2
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> str:
    return dependencies_zip(tmp_path_factory.mktemp("zip") / "dependencies.zip")


def test_a_python_without_this_package_works_with_the_zip(archive: str, bare_site: Path) -> None:
    code = USE.format(archive=archive, site=str(bare_site))
    environment = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_CONFIG_FILE": "/dev/null"}
    process = subprocess.run([*BARE, code], capture_output=True, text=True, timeout=60, env=environment)
    assert process.returncode == 0, process.stderr


def test_what_the_zip_is_for_is_not_there_without_it(bare_site: Path) -> None:
    for package in ("personalize_rt", "attr", "attrs", "tenacity"):
        code = f"import sys; sys.path.append({str(bare_site)!r}); import {package}"
        process = subprocess.run([*BARE, code], capture_output=True, text=True, timeout=60)
        assert f"No module named '{package}'" in process.stderr


def test_the_zip_holds_the_whole_package_but_for_the_sample_and_the_page(archive: str) -> None:
    root = Path(personalize_rt.__path__[0])
    files = {file.relative_to(root.parent).as_posix() for file in root.rglob("*") if file.is_file()}
    left_out = ("__pycache__/", "/local/sample/", "/local/console/")
    wanted = {name for name in files if not any(part in name for part in left_out)}
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert {name for name in names if name.startswith("personalize_rt/")} == wanted
    assert "personalize_rt/py.typed" in names
    assert len(names) == len(set(names))


def test_nothing_in_the_zip_is_compiled(archive: str) -> None:
    with zipfile.ZipFile(archive) as packed:
        suffixes = {Path(name).suffix for name in packed.namelist()}
    assert suffixes <= {".py", ".pyi", ".typed", ".md"}


def test_the_same_packages_give_the_same_bytes(archive: str, tmp_path: Path) -> None:
    assert Path(dependencies_zip(tmp_path / "again.zip")).read_bytes() == Path(archive).read_bytes()


def test_what_was_there_is_replaced(archive: str, tmp_path: Path) -> None:
    target = tmp_path / "dependencies.zip"
    target.write_text("something else")
    assert dependencies_zip(target) == str(target)
    assert target.read_bytes() == Path(archive).read_bytes()
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_zip_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        dependencies_zip(tmp_path / "taken")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken"]


def test_without_a_path_the_zip_is_there_for_as_long_as_its_process() -> None:
    code = (
        "import os; from personalize_rt.bulk.spark import dependencies_zip\n"
        "one, other = dependencies_zip(), dependencies_zip()\n"
        "assert os.path.basename(one) == os.path.basename(other) and os.path.getsize(one)\n"
        "print(one, other, sep=';', end='')"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert [Path(path).exists() for path in process.stdout.split(";")] == [False, False]


# The driver has this package, from {root}; what its workers have, PYSPARK_PYTHON says.
JOB = """
import sys
sys.path.insert(0, {root!r})
from functools import partial
from pyspark.sql import SparkSession
from personalize_rt import PersonalizeRuntime
from personalize_rt.bulk import spark

session = (
    SparkSession.builder.master("local[2]")
    .config("spark.driver.memory", "512m")
    .config("spark.ui.enabled", "false")
    .config("spark.ui.showConsoleProgress", "false")
    .getOrCreate()
)
session.sparkContext.setLogLevel("OFF")
users = session.createDataFrame([(user,) for user in {users!r}], "user_id string")
runtime = partial(PersonalizeRuntime, region_name="eu-west-1", endpoint_url={url!r}, deadline=30.0)
ask = partial(spark.recommend, users, campaign_arn={arn!r}, num_results=3, runtime=runtime)
try:
    ask().collect()
except Exception as error:
    print("No module named 'personalize_rt'" in str(error))
session.sparkContext.addPyFile(spark.dependencies_zip())
for row in sorted(ask().collect()):
    print(row["user_id"], *(item.item_id for item in row["items"]))


def home(batches):
    import attr, personalize_rt, pyarrow, tenacity

    for batch in batches:
        files = [module.__file__ for module in (attr, personalize_rt, tenacity)]
        yield pyarrow.RecordBatch.from_pydict({{"file": files}})


for row in users.limit(1).mapInArrow(home, "file string").collect():
    print("dependencies.zip/" in row["file"])
session.stop()
"""


@pytest.mark.timeout(300)
def test_spark_workers_that_lack_this_package_get_it_from_the_zip(
    bare_site: Path, tmp_path: Path, made_up_aws_account: None
) -> None:
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    pytest.importorskip("uvicorn", reason="the extra [server] is not installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True, timeout=60)
    (packages,) = (tmp_path / "bare").glob("lib/python*/site-packages")
    (packages / "of_the_cluster.pth").write_text(f"{bare_site}\n")

    local = LocalPersonalize.sample()
    users = sorted({event.user_id for event in local.interactions})[:10]
    arn = local.campaign_arn("movies-for-you")
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    environment |= {
        "PYSPARK_PYTHON": str(tmp_path / "bare" / "bin" / "python"),
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }
    environment |= {"SPARK_LOCAL_IP": "127.0.0.1"}
    with local.serve() as url:
        code = JOB.format(root=str(Path(personalize_rt.__path__[0]).parent), users=users, url=url, arn=arn)
        process = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, env=environment, cwd=tmp_path
        )
    assert process.returncode == 0, process.stderr
    without, *answered, attr, itself, tenacity = process.stdout.splitlines()
    assert (without, attr, itself, tenacity) == ("True",) * 4
    runtime = local.runtime()
    for line, user in zip(answered, users, strict=True):
        expected = runtime.get_recommendations(campaign_arn=arn, user_id=user, num_results=3)
        assert line.split() == [user, *expected.item_ids]
