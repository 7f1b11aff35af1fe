"""The pages that are made from the suite itself: `python docs/generate.py` writes them, `--check` says whether they are fresh."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from claims_page import claims_page  # noqa: E402
from contract_page import contract_page  # noqa: E402
from page_tables import with_tables  # noqa: E402


def pages() -> dict[Path, str]:
    """Every generated page, and every page with generated tables, as it should be."""
    made = {HERE / "contract.md": contract_page(), HERE / "claims.md": claims_page()}
    written = {path: path.read_text(encoding="utf-8") for path in sorted(HERE.glob("*.md")) if path not in made}
    return made | {path: with_tables(text) for path, text in written.items()}


def main() -> int:
    """0 if all is written, or, asked to check, fresh; 1 if a page is stale."""
    due = pages()
    stale = [path for path, text in due.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.name} is stale: python docs/generate.py writes it anew")
        return 1 if stale else 0
    for path in stale:
        path.write_text(due[path], encoding="utf-8")
        print(f"wrote {path.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
