"""What `medudl view` refuses before anything is started, in one line."""

import io
import socket
import subprocess
import sys

import pytest

from medudl import api, launch
from medudl.data.cohort import Cohort, Series
from medudl.errors import UserError


def test_a_bad_folder_is_one_line(tmp_path):
    command = [sys.executable, "-m", "medudl.cli", "view", str(tmp_path / "absent")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "no such folder" in done.stderr


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "scan.nii").touch()
    with pytest.raises(UserError, match="no such folder"):
        api.view(tmp_path / "scan.nii")


def test_a_table_stands_for_its_folder_and_that_of_its_scans(tmp_path):
    table, scans = tmp_path / "work" / "cohort.csv", tmp_path / "scans"
    scans.mkdir()
    Cohort.of(scans, [Series("p0", path="x.nii.gz", format="nifti")]).write(table)
    assert launch.Shown.of(table, []) == launch.Shown(table.parent, (scans,))
    assert launch.Shown.of(scans, [table.parent]) == launch.Shown(scans, (table.parent,))
    with pytest.raises(UserError, match="absent: no such folder"):
        launch.Shown.of(scans, [tmp_path / "absent"])


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} is in use"):
            api.view(tmp_path, port=port)


def test_without_a_port_the_next_free_one_is_taken(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(launch, "PORT", other.getsockname()[1])
        with launch._listen("127.0.0.1", None) as found:
            assert launch.PORT < found.getsockname()[1] < launch.PORT + launch.TRIES
        monkeypatch.setattr(launch, "TRIES", 1)
        with pytest.raises(UserError, match="are in use"):
            launch._listen("127.0.0.1", None)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "ward.example"])
def test_other_machines_need_a_password(tmp_path, monkeypatch, host):
    monkeypatch.delenv(launch.PASSWORD, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # no terminal
    with pytest.raises(UserError, match=f"needs a password; set {launch.PASSWORD}"):
        api.view(tmp_path, host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_this_machine_needs_none(host):
    assert launch._loopback(host)


def test_an_address_of_another_machine_cannot_be_listened_on(tmp_path, monkeypatch):
    monkeypatch.setenv(launch.PASSWORD, "x")
    with pytest.raises(UserError, match="cannot listen on 192.0.2.7"):
        api.view(tmp_path, host="192.0.2.7", port=8620)


def test_without_streamlit_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs streamlit"):
        api.view(tmp_path)


def test_a_certificate_and_its_key_go_together(tmp_path):
    (tmp_path / "c.pem").touch()
    with pytest.raises(UserError, match="go together"):
        api.view(tmp_path, certificate=tmp_path / "c.pem")
    with pytest.raises(UserError, match="no such file"):
        api.view(tmp_path, certificate=tmp_path / "c.pem", key=tmp_path / "k.pem")


def test_all_addresses_of_a_machine_answer_to_its_names():
    names = launch._names("0.0.0.0")
    assert socket.gethostname().lower() in names and "0.0.0.0" not in names
    assert "[2001:db8::7]" in launch._names("2001:db8::7")


def test_the_function_is_called_like_the_command():
    import medudl

    assert medudl.view is api.view
