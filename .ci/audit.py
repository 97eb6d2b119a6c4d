"""Are vulnerabilities known of the locked versions? Exit code 1 where one is that `audit.toml` does not explain.

pip-audit says "no known vulnerabilities" with exit code 0 also where it could ask about nothing: here that is told
as what it is, with exit code 3.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMAND = ("-m", "pip_audit", "-r", "requirements-dev.lock", "--no-deps", "--disable-pip", "-f", "json")
SECONDS = 300
NOT_DONE = 3


def main() -> int:
    """Ask, and judge what is answered."""
    command = [sys.executable, *COMMAND, "--progress-spinner", "off"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
        packages = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, ValueError, KeyError) as cause:
        return tell(f"audit: NOT DONE, there is no answer ({type(cause).__name__})", NOT_DONE)
    known = {each["id"]: each["reason"] for each in tomllib.loads((ROOT / ".ci/audit.toml").read_text())["known"]}
    return tell(*judge(packages, known))


def judge(packages: list[dict[str, Any]], known: dict[str, str]) -> tuple[str, int]:
    """What is to be said of the answers, and the exit code."""
    asked = [each for each in packages if "skip_reason" not in each]
    if not asked:
        return "audit: NOT DONE, the database of vulnerabilities cannot be reached from here", NOT_DONE
    found = [
        (
            f"{each['name']} {each['version']}: {one['id']}, fixed in {', '.join(one['fix_versions']) or 'no version'}",
            one,
        )
        for each in asked
        for one in each["vulns"]
    ]
    news = [text for text, one in found if not {one["id"], *one.get("aliases", ())} & known.keys()]
    summary = f"audit: {len(asked)} of {len(packages)} packages, {len(found)} vulnerabilities, {len(news)} unexplained"
    return "\n".join([summary, *news]), int(bool(news))


def tell(text: str, code: int) -> int:
    """Print, and pass the code on."""
    sys.stdout.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
