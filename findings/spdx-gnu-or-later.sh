#!/usr/bin/env bash
# Library: Rust crate spdx 0.13.6, Licensee::satisfies.
# Expected: a requirement "this version or a later one" is satisfied by a later version, for all families of
# licences that have versions.
# Does: a later version of EPL or MPL satisfies it. A later version of GPL does not: there the identifier has
# to be the same.
# Output seen:
#   EPL-1.0+ is satisfied by EPL-2.0: true
#   MPL-1.1+ is satisfied by MPL-2.0: true
#   GPL-2.0-or-later is satisfied by GPL-2.0-or-later: true
#   GPL-2.0-or-later is satisfied by GPL-2.0-only: false
#   GPL-2.0-or-later is satisfied by GPL-3.0-only: false
#   GPL-2.0-or-later is satisfied by GPL-3.0-or-later: false
# Why it matters: a list of accepted licences that a build checks with this crate refuses a dependency under
# GPL-2.0-or-later although the list accepts GPL-3.0-only. Each identifier has to be listed for itself.

. "$(dirname "$0")/lib/common.bash"
rust 'spdx = "=0.13.6"' >output <<'EOF'
fn main() {
    for (required, held) in [
        ("EPL-1.0+", "EPL-2.0"),
        ("MPL-1.1+", "MPL-2.0"),
        ("GPL-2.0-or-later", "GPL-2.0-or-later"),
        ("GPL-2.0-or-later", "GPL-2.0-only"),
        ("GPL-2.0-or-later", "GPL-3.0-only"),
        ("GPL-2.0-or-later", "GPL-3.0-or-later"),
    ] {
        let licensee = spdx::Licensee::parse(held).unwrap();
        let expression = spdx::Expression::parse(required).unwrap();
        let satisfied = expression.evaluate(|requirement| licensee.satisfies(requirement));
        println!("{required} is satisfied by {held}: {satisfied}");
    }
}
EOF
check <output
