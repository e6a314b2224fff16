"""A download is there whole and verified, or not at all."""

import socket
import threading

import pytest

from thin_ice.data.fetch import DownloadFailed, check_sha256, fetch
from thin_ice.data.raw import UnusableData

CONTENT = b"CIFAR" * 50_000


def test_a_file_with_the_right_checksum_arrives(served, tmp_path, sha256):
    folder, address = served
    (folder / "file").write_bytes(CONTENT)
    target = tmp_path / "new" / "folder" / "file"
    fetch(f"{address}/file", target, sha256(folder / "file"))
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]


def test_a_wrong_checksum_leaves_nothing(served, tmp_path):
    folder, address = served
    (folder / "file").write_bytes(CONTENT)
    with pytest.raises(UnusableData, match=r"http.*SHA-256.*expected 0000"):
        fetch(f"{address}/file", tmp_path / "data" / "file", "0" * 64)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_wrong_checksum_keeps_what_was_there_before(served, tmp_path):
    folder, address = served
    (folder / "file").write_bytes(CONTENT)
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises(UnusableData):
        fetch(f"{address}/file", tmp_path / "file", "0" * 64)
    assert (tmp_path / "file").read_bytes() == b"before"


def test_an_absent_file_leaves_nothing(served, tmp_path):
    _, address = served
    with pytest.raises(DownloadFailed, match=r"could not download http.*404"):
        fetch(f"{address}/absent", tmp_path / "data" / "file", "0" * 64)
    assert list((tmp_path / "data").iterdir()) == []


def test_no_server_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DownloadFailed, match="could not download"):
        fetch(f"http://127.0.0.1:{port}/file", tmp_path / "data" / "file", "0" * 64)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_connection_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_half, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/file"
        with pytest.raises((DownloadFailed, UnusableData)):
            fetch(url, tmp_path / "data" / "file", "0" * 64)
        thread.join()
    assert list((tmp_path / "data").iterdir()) == []


def answer_half(server):
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)


def test_after_the_check_the_file_is_at_its_beginning(tmp_path, sha256):
    path = tmp_path / "file"
    path.write_bytes(CONTENT)
    with path.open("rb") as file:
        check_sha256(file, sha256(path), path)
        assert file.read() == CONTENT
