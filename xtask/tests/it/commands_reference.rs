//! `cargo xtask man` and `completions`. `UPDATE_EXPECT=1` writes docs/commands.md.

use expect_test::expect_file;

use crate::support::{Ran, root, xtask};

#[test]
fn the_reference_of_commands_is_the_help() {
    let ran = Ran::of(xtask(root()).args(["man", "--markdown"])).code(0);
    expect_file!["../../../docs/commands.md"].assert_eq(&ran.stdout);
}

#[test]
fn commands_below_a_command_have_a_page() {
    let ran = Ran::of(xtask(root()).args(["man", "advisories", "update"])).code(0);
    assert!(ran.stdout.contains("\\-\\-from"), "{}", ran.stdout);
    Ran::of(xtask(root()).args(["man", "binary"]))
        .code(0)
        .says("\ncargo xtask binary [OPTIONS] \\-\\-out <DIR>\n");
    Ran::of(xtask(root()).args(["man", "scan", "nope"])).code(2).says("has no command 'nope'");
}

#[test]
fn each_shell_has_a_completion_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = Ran::of(xtask(root()).args(["completions", shell])).code(0);
        assert!(ran.stdout.contains("promote"), "{shell}: {}", ran.stdout);
    }
}
