"""Memory that is freed and taken again, in a process of its own each."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")

PAGES_OF_TEN_BLOCKS = """
import resource
from backend import memory
{first}
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    bytearray({size})
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
HELD_AFTERWARDS = """
from pathlib import Path
from backend import memory
memory.keep_freed()
def held():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
bytearray(2**27)
before = held()
memory.give_back()
print(before - held())
"""


def printed(script):
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    return int(done.stdout)


def test_a_freed_block_is_used_again():
    anew = printed(PAGES_OF_TEN_BLOCKS.format(first="", size=2**25))
    kept = printed(PAGES_OF_TEN_BLOCKS.format(first="assert memory.keep_freed()", size=2**25))
    assert kept < anew / 5


def test_a_buffer_of_a_message_is_used_again():
    first = "memory._glibc().mallopt(memory._MMAP_THRESHOLD, 2**19)"  # or glibc adapts by itself
    anew = printed(PAGES_OF_TEN_BLOCKS.format(first=first, size=2**20))
    first = "assert memory.reuse_buffers(2**26)"
    kept = printed(PAGES_OF_TEN_BLOCKS.format(first=first, size=2**20))
    assert kept < anew / 5


def test_what_is_free_is_given_back_on_demand():
    assert printed(HELD_AFTERWARDS) > 2**26
