"""What the tests of the add-on's core share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studio import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Any:
    studio = Studio(tmp_path)
    yield studio
    studio.session.close()
