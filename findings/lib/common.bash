# Sourced by every script: prints the script's header, makes its work folder, and compares the output.
set -euo pipefail

script=$(realpath "$0")
lib=$(dirname "$script")/lib
sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$script"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# Ends the script with 2: `missing TEXT`.
missing() {
    echo "$1" >&2
    exit 2
}

# Makes and runs a Rust program: `rust DEPENDENCY <main.rs >output`.
rust() {
    command -v cargo >cargo.log || missing "cargo is not here"
    mkdir -p src
    printf '[package]\nname = "finding"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n%s\n' "$1" >Cargo.toml
    cat >src/main.rs
    CARGO_TARGET_DIR=$work/target cargo build --quiet >&2 || missing "the program does not build"
    target/debug/finding
}

# Makes a virtual environment with the given packages: `python NAME==VERSION...`.
python() {
    python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check "$@" >&2 ||
        missing "a Python package could not be installed"
}

# Downloads and unpacks Debian packages below `root`: `debian NAME=VERSION...`.
debian() {
    (apt-get download "$@" >apt.log 2>&1) || missing "$(cat apt.log)"
    for package in *.deb; do dpkg-deb -x "$package" root; done
    export LD_LIBRARY_PATH=$work/root/usr/lib/x86_64-linux-gnu:$work/root/lib/x86_64-linux-gnu
}

# Compares the text on standard input with the part "Output seen" of the header.
check() {
    sed -n '/^# Output seen:/,/^# Why/s/^#   //p' "$script" >expected
    cat >seen
    echo "Output of this run:"
    sed 's/^/  /' seen
    if diff -u expected seen >difference; then
        echo "The behaviour is as described."
    else
        echo "The behaviour has changed:"
        cat difference
        exit 1
    fi
}
