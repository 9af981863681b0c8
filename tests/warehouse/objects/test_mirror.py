"""Processes that start together in a new folder agree on the mirror that it is."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from warehouse.objects.mirror import open_mirror


def test_a_new_folder_gets_one_name_whoever_opens_it_first(tmp_path: Path) -> None:
    for number in range(20):
        together = threading.Barrier(4)

        def name(number: int = number, together: threading.Barrier = together) -> str:
            together.wait(60)
            return open_mirror(tmp_path / str(number), "s3://team/answers", None).mirror

        with ThreadPoolExecutor(4) as pool:
            names = {each.result() for each in [pool.submit(name) for _ in range(4)]}
        assert names == {open_mirror(tmp_path / str(number), "s3://team/answers/", None).mirror}


def test_a_store_at_another_server_keeps_the_name(tmp_path: Path) -> None:
    first = open_mirror(tmp_path, "s3://team/answers", None)
    assert open_mirror(tmp_path, "s3://team/answers", "http://storage:9000").mirror == first.mirror
