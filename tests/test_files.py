"""Files are written whole or not at all, and a bad --out is one line before any work."""

import json

import pytest

from softq.utils.atomic_files import atomic_write, csv_file, write_json
from softq.utils.errors import SoftqError


def test_a_file_appears_at_the_end_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "a.json"
    with atomic_write(path) as partial:
        partial.write_text("new")
        assert not path.exists() and partial.parent == path.parent
    assert path.read_text() == "new" and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def fail():
        with atomic_write(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with pytest.raises(TypeError):
        write_json(path, object())
    assert json.loads(path.read_text()) == {"old": 1} and [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_csv_file_makes_the_folder_and_keeps_the_file(tmp_path):
    path = csv_file(tmp_path / "new" / "a.csv")
    assert path.parent.is_dir() and not path.exists() and list(path.parent.iterdir()) == []
    path.write_text("kept")
    assert csv_file(str(path)).read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.txt", "name a file that ends in .csv"),
        ("folder.csv", "name a file that ends in .csv"),
        ("file/a.csv", "cannot be written"),
    ],
)
def test_a_bad_name_is_one_line(name, message, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(SoftqError, match=message) as error:
        csv_file(tmp_path / name)
    assert "\n" not in str(error.value)
