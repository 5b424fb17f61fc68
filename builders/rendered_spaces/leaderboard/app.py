"""The page of this Space: the cards in `scorecards/` ranked, and a check of a card before it is submitted."""

from pathlib import Path

from igmu_metrics.spaces import leaderboard

demo = leaderboard.page(Path(__file__).parent / "scorecards")

if __name__ == "__main__":
    demo.launch(max_file_size="2gb")
