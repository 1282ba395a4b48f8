//! Programs of a workspace as commands of `cargo xtask`.

use crate::support;

use support::{Hello, Ran};

fn hello() -> Hello {
    let hello = Hello::new();
    hello.write(
        "xtask/image.toml",
        "package = \"hello\"\n\
         [[commands]]\nname = \"greet\"\nabout = \"Greet\"\npackage = \"hello\"\narguments = [\"first\"]\n\
         [[commands]]\nname = \"bench hello\"\npackage = \"hello\"\n",
    );
    hello.write(
        "hello/src/main.rs",
        "fn main() {\n\
         let given: Vec<String> = std::env::args().skip(1).collect();\n\
         println!(\"{}\", given.join(\" \"));\n\
         let code = given.iter().find_map(|text| text.strip_prefix(\"--code=\"));\n\
         std::process::exit(code.map_or(0, |code| code.parse().unwrap()));\n}\n",
    );
    hello.commit();
    hello
}

#[test]
fn they_are_in_the_help_and_in_plans() {
    let hello = hello();
    assert!(hello.run(&["--help"]).code(0).stdout.contains("greet         Greet"));
    assert!(hello.run(&["bench", "--help"]).code(0).stdout.contains("hello"));
    let plan = hello.run(&["greet", "--dry-run", "--json", "x"]).code(0).json();
    assert_eq!(plan["command"], "greet");
    let argv = &plan["steps"][0]["command"]["argv"];
    assert_eq!(
        argv.as_array().unwrap()[1..].iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" "),
        "run --quiet --locked --release --package hello -- first --json x"
    );
    assert!(!hello.path().join("target").exists());
}

#[test]
fn they_run_with_their_arguments_and_their_exit_codes() {
    let hello = hello();
    assert_eq!(hello.run(&["greet", "--help", "x"]).code(0).stdout.trim(), "first --help x");
    assert!(hello.run(&["bench", "hello", "--json", "x"]).code(0).stdout.ends_with("--json x\n"));
    for code in [1, 2, 3] {
        let Ran { stderr, .. } = hello.run(&["greet", &format!("--code={code}")]).code(code);
        assert!(stderr.contains("step 'run'"), "{stderr}");
    }
}

#[test]
fn a_name_is_taken_once_and_has_one_or_two_words() {
    let hello = hello();
    for (name, what) in [
        ("image", "the command 'image' already exists"),
        ("bench publish", "the command 'bench publish' already exists"),
        ("a b c", "image.toml:3:8: name 'a b c' is not one or two words in lower case"),
        ("--x", "name '--x' is not one or two words"),
    ] {
        hello.write(
            "xtask/image.toml",
            &format!("package = \"hello\"\n[[commands]]\nname = \"{name}\"\npackage = \"hello\"\n"),
        );
        let ran = hello.run(&["version"]).code(2);
        assert!(ran.stderr.contains(what), "{}", ran.stderr);
    }
}
