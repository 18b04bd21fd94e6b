import subprocess
import sys


def test_without_its_extra_it_says_what_is_missing() -> None:
    code = "import sys; sys.modules['scapy'] = None; import runpy; runpy.run_module('simulator', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == "ocs-sim: scapy is not installed; pip install 'session-purchaser[simulator]'\n"
