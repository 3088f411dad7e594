"""Adds up test results (JUnit XML of GoogleTest and pytest) and prints the closing line.

Usage: count_results.py FOLDER FAILED_STEPS. A step that failed without a failed test counts as one failure.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree


def cases(path):
    """(passed, failed, skipped, names of the failed) of one XML file."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError:
        return 0, 1, 0, [f"{path}: unreadable"]
    passed = failed = skipped = 0
    names = []
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
            names.append(f"{case.get('classname') or os.path.dirname(path)}.{case.get('name')}")
        elif case.find("skipped") is not None or case.get("result") == "skipped" or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped, names


def main():
    folder, failed_steps = sys.argv[1], int(sys.argv[2])
    passed = failed = skipped = 0
    names = []
    for parent, _, files in os.walk(folder):
        for name in files:
            if name.endswith(".xml"):
                p, f, s, n = cases(os.path.join(parent, name))
                passed, failed, skipped, names = passed + p, failed + f, skipped + s, names + n
    for name in names:
        print(f"FAILED {name}")
    if failed_steps and not failed:
        failed = failed_steps
    if skipped:
        print(f"{skipped} skipped")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


main()
