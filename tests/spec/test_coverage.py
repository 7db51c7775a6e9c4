"""Every rule of the checklist has a test named after it, or a reason why it has none.

A test is ``test_rule_NN_words``; one that looks at several is ``test_rule_NN_and_MM_words``. They
are found in the sources of all tests, so it does not matter which of them are run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parents[1]
RULES: Final = range(1, 171)

#: Rules without a test: nothing here could break them.
EXEMPT: Final[Mapping[int, str]] = {
    16: "EXT-X-KEY: nothing is encrypted yet",
    17: "EXT-X-KEY over an init section: nothing is encrypted yet",
    79: "keys: nothing is encrypted yet",
    80: "AES-128: nothing is encrypted yet",
    81: "scope of EXT-X-KEY: nothing is encrypted yet",
    82: "key rotation: nothing is encrypted yet",
    93: "tokens: playback is open to all yet",
    133: "I-frame playlists: none are offered yet",
}

_TEST: Final = re.compile(
    r"^(?:async )?def test_rule_(\d+(?:_and_\d+)*)_[a-z]\w*\(", flags=re.MULTILINE
)


def named_rules(source: str) -> Iterator[int]:
    """Give the rules that the tests of a file are named after."""
    for numbers in _TEST.findall(source):
        yield from map(int, numbers.split("_and_"))


def rules_with_tests() -> Counter[int]:
    """Count the tests of each rule."""
    files = sorted(TESTS.rglob("test_*.py"))
    assert len(files) > 50
    return Counter(rule for path in files for rule in named_rules(path.read_text()))


def test_every_rule_has_a_test_or_a_reason() -> None:
    tested = rules_with_tests()
    missing = [rule for rule in RULES if not tested[rule] and rule not in EXEMPT]
    assert not missing, f"rules without a test: {missing}"


def test_nothing_is_exempt_that_has_a_test() -> None:
    """A feature that is built takes its rules out of the table."""
    tested = rules_with_tests()
    assert [rule for rule in EXEMPT if tested[rule]] == []
    assert all(EXEMPT.values()) and set(EXEMPT) <= set(RULES)


def test_names_are_those_of_rules() -> None:
    assert set(rules_with_tests()) <= set(RULES)


def test_names_are_read() -> None:
    source = "def test_rule_5_and_6_x() -> None:\nasync def test_rule_117_y() -> None:\n"
    assert list(named_rules(source)) == [5, 6, 117]
    assert list(named_rules("    def test_rule_1_x():\ndef test_rules_2_x():\n")) == []
