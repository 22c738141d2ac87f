"""Counts words of the text on standard input and writes the counts as JSON to standard output.

It runs in a container, so it wants nothing but a Python 3. A word is a run of ASCII letters, in lower case.
"""

import collections
import json
import re
import sys

counts = collections.Counter()
size = 0
for line in sys.stdin.buffer:
    size += len(line)
    counts.update(re.findall(rb"[a-z]+", line.lower()))
json.dump({word.decode(): count for word, count in counts.items()}, sys.stdout)
print(f"{sum(counts.values()):,} words, {len(counts):,} distinct, in {size / 1e6:.1f} MB", file=sys.stderr)
