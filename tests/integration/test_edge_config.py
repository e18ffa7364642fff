"""`vilokanam edge config nginx`: nginx itself reads what it prints, or the operator is told why."""

import shutil
import subprocess

import pytest

from mediaserver.cli.main import main
from tests.support.servers import nginx

KEY = "edge-key-of-this-test"


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "edge.key").write_text(KEY + "\n")
    return folder


@pytest.fixture
def run(tmp_path, data, capsys):
    """Run the command over a configuration with this [edge] table: exit code, output, errors."""

    def call(table: str, *words: str) -> tuple[int, str, str]:
        config = tmp_path / "config.toml"
        config.write_text(f'[server]\ndata_dir = "{data}"\n[edge]\n{table}')
        code = main(["edge", "config", "nginx", "--config", str(config), *words])
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


def check(path) -> tuple[int, str]:
    """Return what ``nginx -t`` says; it also makes the cache's directory."""
    done = subprocess.run(
        [nginx.program(), "-t", "-c", str(path)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def test_a_whole_nginx_is_written_where_it_was_asked_for(run, tmp_path) -> None:
    """One command, and one to start it; the file holds a secret, so it is its owner's alone."""
    folder = tmp_path / "edge"
    for _ in range(2):
        code, out, _ = run('listen = "127.0.0.1:8099"\n', "--standalone", str(folder))

        assert (code, out) == (0, f"nginx -c {folder}/nginx.conf\n")
    output = check(folder / "nginx.conf")
    assert output[0] == 0, output
    assert "warn" not in output[1]
    assert (folder / "nginx.conf").stat().st_mode & 0o777 == 0o600
    text = (folder / "nginx.conf").read_text()
    assert KEY in text
    assert f"proxy_cache_path {folder}/cache" in text
    assert f"access_log {folder}/access.log" in text


def test_o21_an_nginx_that_stays_in_the_terminal_is_announced(run, tmp_path) -> None:
    """Who starts it by hand knows that its silence is good, and how it ends."""
    folder = tmp_path / "edge"
    _, _, err = run('listen = "127.0.0.1:8099"\n', "--standalone", str(folder))

    assert "Ctrl-C" in err
    assert "silent" in err
    assert "daemon off" in (folder / "nginx.conf").read_text()


@pytest.mark.parametrize("is_tls", [False, True])
def test_what_is_printed_fits_into_the_distributions_nginx(run, tmp_path, is_tls: bool) -> None:
    """As a file of conf.d, with a certificate and without."""
    table = (
        f'cache_dir = "{tmp_path}/cache"\naccess_log = "{tmp_path}/log"\nlisten = "[::1]:8443"\n'
    )
    if is_tls:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl to make a certificate with")
        names = ("-keyout", f"{tmp_path}/key.pem", "-out", f"{tmp_path}/chain.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", *names],
            check=True,
            capture_output=True,
        )
        table += f'tls_certificate = "{tmp_path}/chain.pem"\ntls_key = "{tmp_path}/key.pem"\n'

    code, out, _ = run(table)

    (tmp_path / "edge.conf").write_text(out)
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; include {tmp_path}/edge.conf; }}\n"
    )
    assert code == 0
    output = check(tmp_path / "nginx.conf")
    assert output[0] == 0, output


def test_a_table_that_cannot_be_an_edge_is_told_in_one_go(run) -> None:
    """Every fault with its key, and nothing is printed that could be installed by mistake."""
    code, out, err = run('listen = "80; deny all"\nserver_name = "a b"\n')

    assert (code, out) == (2, "")
    assert "edge.listen" in err
    assert "edge.server_name" in err


def test_an_origin_that_is_not_plain_http_is_told(run) -> None:
    """Our origin speaks HTTP: what to do instead is said."""
    code, _, err = run('origin_url = "https://origin.example.org"\n')

    assert code == 2
    assert "edge.origin_url" in err
    assert "tunnel" in err


def test_a_directory_without_a_key_is_told(run, data) -> None:
    """The server makes the key: an edge with one of its own would be refused."""
    (data / "edge.key").unlink()

    code, _, err = run("")

    assert code == 1
    assert str(data / "edge.key") in err
