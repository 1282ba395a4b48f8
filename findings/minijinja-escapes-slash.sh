#!/usr/bin/env bash
# Library: Rust crate minijinja 3.1.0, beside Jinja2 3.1.6 with MarkupSafe 3.0.3 from PyPI.
# Expected: the same template gives the same HTML; minijinja implements Jinja2's templates.
# Does: minijinja also escapes the slash, and writes the apostrophe in another form. A dictionary is printed in the order
# of its keys, not in the order in which it was written.
# Output seen:
#   Jinja2: /usr/bin/a: /usr/bin/a
#   minijinja: /usr/bin/a: &#x2f;usr&#x2f;bin&#x2f;a
#   Jinja2: it's: it&#39;s
#   minijinja: it's: it&#x27;s
#   Jinja2: dictionary: {'b': 1, 'a': 2}
#   minijinja: dictionary: {'a': 2, 'b': 1}
# Why it matters: browsers show the same page, but each path and address in the source of the page differs. A test that
# searches the page for a path, a snapshot made with the other engine, and a script that reads links with a regular
# expression find nothing.

. "$(dirname "$0")/lib/common.bash"
python jinja2==3.1.6 markupsafe==3.0.3
cat >templates <<'EOF'
/usr/bin/a: {{ "/usr/bin/a"|e }}
it's: {{ "it's"|e }}
dictionary: {{ {"b": 1, "a": 2} }}
EOF
rust 'minijinja = "=3.1.0"' >minijinja <<'EOF'
fn main() {
    let mut environment = minijinja::Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    for line in std::fs::read_to_string("templates").unwrap().lines() {
        println!("minijinja: {}", environment.render_str(line, ()).unwrap());
    }
}
EOF
venv/bin/python - >jinja2 <<'EOF'
import jinja2

environment = jinja2.Environment()
for line in open("templates").read().splitlines():
    print("Jinja2: " + environment.from_string(line).render())
EOF
paste -d '\n' jinja2 minijinja | check
