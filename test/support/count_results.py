#!/usr/bin/python3
"""Adds up test results (JUnit XML of GoogleTest and pytest) and prints the closing line.

Usage: count_results.py FOLDER FAILED_STEPS. A step that failed without a failed test counts as one failure. A test of
second-attempt.xml counts by its outcome there.
       count_results.py --failures FILE prints how many tests of one file failed.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree

SECOND_ATTEMPT = "second-attempt.xml"


def outcomes(path):
    """(name, "passed", "failed" or "skipped") of every test in one XML file."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError):
        return [(f"{path}: unreadable", "failed")]
    out = []
    for case in root.iter("testcase"):
        name = f"{case.get('classname') or os.path.dirname(path)}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            out.append((name, "failed"))
        elif case.find("skipped") is not None or case.get("result") == "skipped" or case.get("status") == "notrun":
            out.append((name, "skipped"))
        else:
            out.append((name, "passed"))
    return out


def read(folder):
    """The outcomes of all files but the second attempt's, and those."""
    first, second = [], {}
    for parent, _, files in os.walk(folder):
        for name in files:
            if name == SECOND_ATTEMPT:
                second = dict(outcomes(os.path.join(parent, name)))
            elif name.endswith(".xml"):
                first += outcomes(os.path.join(parent, name))
    return first, second


def main():
    folder, failed_steps = sys.argv[1], int(sys.argv[2])
    first, second = read(folder)
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for name, outcome in first:
        if outcome == "failed" and second.get(name) == "passed":
            print(f"FLAKY {name}: failed, then passed alone")
            outcome = "passed"
        if outcome == "failed":
            print(f"FAILED {name}")
        count[outcome] += 1
    if failed_steps and not count["failed"]:
        count["failed"] = failed_steps
    if count["skipped"]:
        print(f"{count['skipped']} skipped")
    print(f"{count['passed']} passed, {count['failed']} failed")
    sys.exit(1 if count["failed"] or not count["passed"] else 0)


if sys.argv[1] == "--failures":
    print(sum(outcome == "failed" for _, outcome in outcomes(sys.argv[2])))
else:
    main()
