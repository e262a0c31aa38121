"""The tests of the rule engine (jvm/src/test/java), run by JUnit: one test here per class of tests there."""

from collections.abc import Mapping
from xml.etree import ElementTree

import pytest
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.java_build import ENGINE, JavaBuild
from cardwatch_platform.reporting import SilentReporter
from cardwatch_platform.settings import PlatformSettings
from support.random_examples import share


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[ElementTree.Element]]:
    """By the name of a class, JUnit's results of its test cases; nested classes belong to the outer one."""
    scratch = tmp_path_factory.mktemp("junit")
    build = JavaBuild(ENGINE, PlatformSettings(), load_lock(), SilentReporter())
    run = build.run_tests(scratch, properties={"cardwatch.examples.share": str(share())})
    report = scratch / "TEST-junit-jupiter.xml"
    assert report.is_file(), f"JUnit wrote no report:\n{run.stdout}"
    found: dict[str, list[ElementTree.Element]] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        found.setdefault(case.attrib["classname"].partition("$")[0], []).append(case)
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("name", ENGINE.test_classes())
def test_class_passes(name: str, results: Mapping[str, list[ElementTree.Element]]) -> None:
    cases = results.get(name, [])
    failures = [
        f"{case.attrib['name']}: {(problem.text or problem.attrib.get('message', '')).strip()}"
        for case in cases
        for problem in [*case.findall("failure"), *case.findall("error")]
    ]
    assert not failures, "\n\n".join(failures)
    assert cases, f"JUnit ran no test of {name}"
