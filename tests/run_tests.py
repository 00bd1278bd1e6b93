#!/usr/bin/env python3
"""Runs the tests of a build with ctest; each one that fails is run once more, alone.

    tests/run_tests.py PRESET [CTEST OPTION...]

A test that passes alone is FLAKY: the run is good, and the output of the failure is shown, so that somebody mends it. One
that fails again fails the run, with both outputs at the end. With --repeat nothing is run again: who repeats wants to see
failures. The last line counts; the same as JSON is in Testing/verdict.json of the build, for .ci/run.
"""
import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
# More than these are no accident of a busy machine; running them alone would take hours.
MOST_RUN_AGAIN = 20


def build_directory(preset):
    """As CMakePresets.json has it."""
    with open(ROOT / "CMakePresets.json", encoding="utf-8") as presets:
        for entry in json.load(presets)["configurePresets"]:
            if entry["name"] == preset:
                return pathlib.Path(entry["binaryDir"].replace("${sourceDir}", str(ROOT)))
    sys.exit(f"run_tests.py: CMakePresets.json has no preset {preset}")


def run_ctest(preset, report, *options):
    """Runs it to the terminal. Returns its exit code and {test: (status, output)}."""
    report.unlink(missing_ok=True)
    report.parent.mkdir(parents=True, exist_ok=True)
    command = ["ctest", "--preset", preset, "--output-junit", str(report), *options]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    return code, read_report(report)


def read_report(report):
    """{test: (status, output)} of a JUnit file; empty where ctest came to no report."""
    if not report.exists():
        return {}
    tests = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        failure = case.find("failure")
        reason = "" if failure is None else failure.get("message", "")
        output = case.findtext("system-out", "")
        tests[case.get("name")] = (case.get("status"), f"{output.rstrip()}\n({reason})" if reason else output)
    return tests


def failed_of(tests):
    return sorted(name for name, (status, _) in tests.items() if status == "fail")


def show(title, output):
    print(f"\n==== {title}\n{output.strip()}")


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    preset, options = sys.argv[1], sys.argv[2:]
    build = build_directory(preset)
    # Most of the time of an end-to-end test is waiting.
    jobs = os.environ.get("JOBS") or str(2 * os.cpu_count())
    code, tests = run_ctest(preset, build / "Testing" / "first.xml", "--parallel", jobs, *options)
    failed, flaky = failed_of(tests), []
    repeated = any(option.startswith("--repeat") for option in options)
    if failed and not repeated and len(failed) <= MOST_RUN_AGAIN:
        print(f"\n==== once more, each alone: {' '.join(failed)}", flush=True)
        # ctest knows which ones they were.
        code, again = run_ctest(preset, build / "Testing" / "again.xml", "--rerun-failed", "--parallel", "1")
        flaky = [name for name in failed if again.get(name, ("fail",))[0] == "run"]
        for name in flaky:
            show(f"FLAKY {name}: it passed alone; the output of the run that failed:", tests[name][1])
        failed = [name for name in failed if name not in flaky]
        for name in failed:
            show(f"FAILED {name}, first run:", tests[name][1])
            show(f"FAILED {name}, alone:", again.get(name, ("", "it was not run"))[1])
    skipped = sum(status in ("notrun", "disabled") for status, _ in tests.values())
    passed = len(tests) - len(failed) - skipped
    verdict = {"tests": len(tests), "passed": passed, "failed": failed, "flaky": flaky, "skipped": skipped}
    (build / "Testing" / "verdict.json").write_text(json.dumps(verdict), encoding="utf-8")
    print()
    for name in flaky:
        print(f"FLAKY {name}")
    for name in failed:
        print(f"FAILED {name}")
    print(f"{preset}: {passed} passed, {len(failed)} failed, {skipped} skipped", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
