"""Makes the helpers in `tests/` importable here, also when only this folder is run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
