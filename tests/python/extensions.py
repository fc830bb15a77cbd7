"""DuckDB with its extensions: `extensions.py` installs what the packages of extensions.txt hold, beside them."""

import importlib.util
import pathlib

import duckdb

NAMES = ["httpfs", "aws", "delta"]
FOLDER = pathlib.Path(duckdb.__file__).parents[1] / "installed"


def connect():
    """A connection for which they are installed: statements may install and load them by name."""
    return duckdb.connect(config={"extension_directory": str(FOLDER), "autoinstall_known_extensions": "false"})


if __name__ == "__main__":
    for name in NAMES:
        package = importlib.util.find_spec(f"duckdb_extension_{name}").submodule_search_locations[0]
        file = pathlib.Path(package, "extensions", f"v{duckdb.__version__}", f"{name}.duckdb_extension")
        connect().execute(f"install '{file}'")
