"""Every part of the shared protocol has a test, and every `contract` mark names a part."""

from tests.contract_report import DEFECTS, PARTS, SCRIPTS, TESTS, coverage, report

TESTED_ELSEWHERE = frozenset({"11/28", "11/41"})
"""Defects without a test in tests/contract, because the tests of the page and of access control cover them."""


def test_every_part_has_a_test_and_every_mark_names_a_part() -> None:
    assert set(coverage()) == set(PARTS)


def test_every_defect_has_a_test_of_its_own() -> None:
    for number in range(1, len(DEFECTS) + 1):
        part = f"11/{number}"
        if part not in TESTED_ELSEWHERE:
            assert any(test.startswith("contract/") for test in coverage()[part]), part


def test_every_script_of_the_page_exists() -> None:
    found = {path.relative_to(TESTS).as_posix() for path in (TESTS / "page").glob("*.test.mjs")}
    assert set(SCRIPTS) <= found


def test_the_report_names_every_part_and_its_tests() -> None:
    printed = report()
    assert all(f"{part} {about}\n" in printed for part, about in PARTS.items())
    assert all(f"    {test}\n" in printed for tests in coverage().values() for test in tests)
