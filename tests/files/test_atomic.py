import errno
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

from twofold.errors import UserError
from twofold.files.atomic import atomic_path, write_text, writing


@contextmanager
def little_space(size):
    """Files of this process cannot grow beyond `size` bytes: as a full disk, but without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_writes_and_refuses_to_overwrite(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    with pytest.raises(UserError, match="exists already"):
        write_text(path, "second")
    assert path.read_text() == "first"
    write_text(path, "second", overwrite=True)
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with atomic_path(path, overwrite=True) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".txt"
            temporary.write_text("half")
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_and_destroys_nothing(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with little_space(1000), pytest.raises(UserError, match=r"No space left while writing .*a\.txt\. Free some space"):
        write_text(path, "x" * 100_000, overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_targets_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        write_text(tmp_path, "x")
    with pytest.raises(UserError, match="does not exist"):
        write_text(tmp_path / "none" / "a.txt", "x")


@pytest.mark.parametrize(("number", "message"), [(errno.EACCES, "No permission"), (errno.ENOSPC, "No space left")])
def test_errors_that_a_user_can_mend(tmp_path, number, message):
    with pytest.raises(UserError, match=message), writing(tmp_path / "a"):
        raise OSError(number, "told by the system")


def test_other_errors_pass():
    with pytest.raises(OSError, match="odd"), writing(Path("a")):
        raise OSError(errno.EIO, "odd")
