"""The web page of this Space."""

import igmu_metrics.spaces

demo = igmu_metrics.spaces.page("attack_success_rate")

if __name__ == "__main__":
    demo.launch()
