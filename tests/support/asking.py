"""Requests to the health port of a worker."""

import urllib.error
import urllib.request


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and text of an answer; 0 and nothing when there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""
