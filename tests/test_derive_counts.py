"""The second opinion on counts puts runs and patch sets to their entries as the small real sample says."""

from pathlib import Path

from tests.derive_counts import check_joins, derive

EVIDENCE = Path(__file__).parent / "data" / "evidence"


def test_it_joins_what_belongs_together_and_nothing_else() -> None:
    assert check_joins(EVIDENCE) == (19, 0)


def test_no_pair_without_its_reward_and_no_row_without_its_label() -> None:
    counts = derive(EVIDENCE)
    for task in ("scaffold", "repair", "polish"):
        assert counts.get(f"llm/{task}/preference", 0) == counts.get(f"llm/{task}/reward", 0)
        assert counts[f"llm/{task}/unpaired"] >= counts[f"llm/{task}/sft"] > 0
