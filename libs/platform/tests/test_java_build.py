"""Compiling Java without a JDK, by the real compiler."""

import os
import zipfile
from pathlib import Path

import pytest
from cardwatch_contracts.errors import PlatformError
from cardwatch_platform.artifacts import load_lock
from cardwatch_platform.download import ensure_artifacts
from cardwatch_platform.java_build import COMPILER_SET, TEST_SET, JavaBuild, JavaProject, write_jar
from cardwatch_platform.reporting import SilentReporter
from cardwatch_platform.settings import PlatformSettings

SOURCE = """\
package demo;

/** Says hello. */
public final class Hello {
  private Hello() {}

  /** A greeting. */
  public static String hello(String name) {
    return "Hello " + name;
  }
}
"""


@pytest.fixture
def build(tmp_path: Path) -> JavaBuild:
    """A project with one class, and a cache of its own in which only the compiler is."""
    source = tmp_path / "jvm/src/main/java/demo/Hello.java"
    source.parent.mkdir(parents=True)
    source.write_text(SOURCE)
    cached = ensure_artifacts(load_lock(), PlatformSettings(), SilentReporter(), names=(COMPILER_SET, TEST_SET))
    settings = PlatformSettings(cache_dir=tmp_path / "cache")
    (settings.cache_dir / "sets").mkdir(parents=True)
    for directory in cached.values():
        (settings.cache_dir / "sets" / directory.name).symlink_to(directory)
    return JavaBuild(JavaProject("demo", tmp_path / "jvm"), settings, load_lock(), SilentReporter())


def source_of(build: JavaBuild) -> Path:
    return build.project.main / "demo/Hello.java"


def test_jar_has_the_classes_and_is_compiled_once(build: JavaBuild, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # neither java nor javac is looked for there
    jar = build.jar()
    assert zipfile.ZipFile(jar).namelist() == ["META-INF/MANIFEST.MF", "demo/Hello.class"]
    made_of = jar.read_bytes()
    os.utime(jar, (0, 0))
    assert build.jar().stat().st_mtime == 0, "a class archive would not fit any more"
    jar.write_bytes(b"as it was")
    assert build.jar().read_bytes() == b"as it was", "it has been compiled again"
    jar.unlink()
    assert build.jar().read_bytes() == made_of, "the same sources made other bytes"
    source_of(build).write_text(SOURCE.replace('"Hello "', '"Hi "'))
    assert build.jar() != jar


def test_error_is_shown_with_its_line_and_leaves_no_jar(build: JavaBuild) -> None:
    source_of(build).write_text(SOURCE.replace("+ name", "+ nobody"))
    with pytest.raises(PlatformError, match=r"Hello\.java \(at line 9\)[\s\S]*nobody cannot be resolved"):
        build.jar()
    assert not list((build.settings.cache_dir / "java").iterdir())


@pytest.mark.faults
def test_check_fails_on_a_warning_each_time_and_on_a_test_that_does_not_compile(build: JavaBuild) -> None:
    build.check()
    source_of(build).write_text(SOURCE.replace("    return", "    int unused = 1;\n    return"))
    for _ in range(2):
        with pytest.raises(PlatformError, match="local variable unused is not used"):
            build.check()
    assert build.jar().exists(), "a warning keeps nobody from running it"
    source_of(build).write_text(SOURCE)
    test = build.project.tests / "demo/HelloTest.java"
    test.parent.mkdir(parents=True)
    test.write_text("package demo;\nclass HelloTest {\n  int x = Hello.goodbye();\n}\n")
    with pytest.raises(PlatformError, match="goodbye"):
        build.check()


@pytest.mark.faults
def test_failing_test_is_shown_in_junits_words(build: JavaBuild, tmp_path: Path) -> None:
    test = build.project.tests / "demo/HelloTest.java"
    test.parent.mkdir(parents=True)
    test.write_text(
        "package demo;\nimport org.junit.jupiter.api.*;\nclass HelloTest {\n"
        '  @Test void greets() { Assertions.assertEquals("Hello you", Hello.hello("me")); }\n}\n'
    )
    assert build.project.test_classes() == ["demo.HelloTest"]
    result = build.run_tests(tmp_path)
    assert result.returncode != 0
    assert "expected: <Hello you> but was: <Hello me>" in result.stdout


def test_jar_does_not_depend_on_when_and_where_it_is_written(tmp_path: Path) -> None:
    jars = []
    for name in ("one", "other"):
        classes = tmp_path / name / "classes"
        classes.mkdir(parents=True)
        for content in sorted(["a", "b"], reverse=name == "other"):
            (classes / f"{content}.class").write_text(content)
        write_jar(classes, tmp_path / f"{name}.jar")
        jars.append((tmp_path / f"{name}.jar").read_bytes())
    assert jars[0] == jars[1]
