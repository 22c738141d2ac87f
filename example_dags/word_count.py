"""Counts the words of text files in HDFS: each container its share, then one task merges what they found.

Run it with your own text: trigger the DAG with the folder in HDFS as ``input``. The nodes need the ``hadoop`` command,
which every node of a Hadoop cluster has.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task

from knit_provider.hooks.knit import KnitHook
from knit_provider.operators.knit import KnitStartOperator

# Container number KNIT_INDEX takes every CONTAINERS-th file of the folder.
COUNT = """
set -euo pipefail
export PATH="$PATH:${HADOOP_HOME:-/usr}/bin"
hadoop fs -ls -C "$INPUT" | awk -v n="$CONTAINERS" -v k="$KNIT_INDEX" 'NR % n == k' > share
echo "container $KNIT_INDEX of $CONTAINERS counts $(wc -l < share) files" >&2
hadoop fs -mkdir -p "$OUTPUT"
xargs -r hadoop fs -cat < share | python3 count_words.py | hadoop fs -put -f - "$OUTPUT/counts-$KNIT_INDEX.json"
"""


@dag(
    schedule=None,
    catchup=False,
    tags=["knit", "example"],
    doc_md=__doc__,
    params={
        "input": "/tmp/word-count/input",
        "output": "/tmp/word-count/output",
        "containers": 4,
        "top": 10,
        # A JSON file on the worker with the counts that must come out; empty: they are not checked.
        "expected": "",
    },
)
def word_count() -> None:
    count = KnitStartOperator(
        task_id="count",
        command=COUNT,
        files=[str(Path(__file__).with_name("count_words.py"))],
        envvars={
            "INPUT": "{{ params.input }}",
            "OUTPUT": "{{ params.output }}",
            "CONTAINERS": "{{ params.containers }}",
            "HADOOP_CLIENT_OPTS": "-Xmx192m",
        },
        num_containers="{{ params.containers }}",
        memory="1 GiB",
    )

    @task
    def merge(app_id: str, params: dict[str, Any] | None = None) -> list[list[Any]]:
        assert params is not None  # Airflow passes it
        files = KnitHook().files
        total: Counter[str] = Counter()
        for index in range(int(params["containers"])):
            total.update(json.loads(files.read(f"{params['output']}/counts-{index}.json")))
        top = total.most_common(int(params["top"]))
        print(f"{total.total():,} words, {len(total):,} distinct, counted by {app_id}. The most frequent:")
        for word, number in top:
            print(f"{number:>12,}  {word}")
        if params["expected"]:
            expected = Counter(json.loads(Path(params["expected"]).read_text()))
            if total != expected:
                differences = (total - expected) + (expected - total)
                raise ValueError(f"the counts differ from {params['expected']}: {differences.most_common(5)}")
            print(f"Every count is what {params['expected']} says")
        return [[word, number] for word, number in top]

    merge(count.output)


word_count()
