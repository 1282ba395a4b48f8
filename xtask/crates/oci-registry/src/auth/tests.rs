//! The sources of credentials, and their order.

use super::*;
use std::fs;

fn environment(variables: &[(&str, &str)]) -> Environment {
    let get = |wanted: &str| variables.iter().find(|(name, _)| *name == wanted);
    Environment::from_variables(|name| get(name).map(|(_, value)| (*value).to_owned()))
}

fn basic(user: &str, secret: &str) -> Credential {
    Credential::Basic { user: user.into(), secret: Secret::new(secret) }
}

/// A home with Docker's and Podman's files; `None` leaves one out.
fn home(docker: Option<&str>, podman: Option<&str>) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for (folder, name, text) in
        [(".docker", "config.json", docker), (".config/containers", "auth.json", podman)]
    {
        if let Some(text) = text {
            fs::create_dir_all(home.path().join(folder)).unwrap();
            fs::write(home.path().join(folder).join(name), text).unwrap();
        }
    }
    home
}

#[test]
fn the_order_is_given_then_variables_then_docker_then_podman() {
    let entry = |user: &str| format!(r#"{{"auths":{{"ghcr.io":{{"username":"{user}","password":"p"}}}}}}"#);
    let home = home(Some(&entry("docker")), Some(&entry("podman")));
    let path = home.path().to_str().unwrap();
    let given = GivenCredential {
        registry: "ghcr.io".into(),
        user: Some("me".into()),
        secret: Secret::new("token\n"),
    };
    let all = [("HOME", path), ("GHCR_TOKEN", "g1"), ("GITHUB_TOKEN", "g2"), ("GITHUB_ACTOR", "actor")];
    let user = |variables: &[_], given: Option<&GivenCredential>, registry: &str| {
        find(&environment(variables), given, registry, "o/a").unwrap()
    };
    assert_eq!(user(&all, Some(&given), "ghcr.io").credential, Some(basic("me", "token")));
    assert_eq!(user(&all, None, "ghcr.io").credential, Some(basic("actor", "g1")));
    assert_eq!(user(&all[..2], None, "ghcr.io").credential, Some(basic("x-access-token", "g1")));
    let second = [("HOME", path), ("GHCR_TOKEN", ""), ("GITHUB_TOKEN", "g2")];
    assert_eq!(user(&second, None, "ghcr.io").source, CredentialSource::Variable("GITHUB_TOKEN"));
    assert_eq!(user(&[("HOME", path)], None, "ghcr.io").credential, Some(basic("docker", "p")));
    let text = entry("variable");
    let variable = [("HOME", path), ("DOCKER_AUTH_CONFIG", &*text)];
    let found = user(&variable, None, "ghcr.io");
    assert_eq!(found.credential, Some(basic("variable", "p")));
    assert_eq!(found.source, CredentialSource::Variable("DOCKER_AUTH_CONFIG"));
    // Registries that it does not list are read from the file. Invalid JSON is an error that shows none of it.
    let other = [("HOME", path), ("DOCKER_AUTH_CONFIG", r#"{"auths":{"docker.io":{"auth":""}}}"#)];
    assert_eq!(user(&other, None, "ghcr.io").credential, Some(basic("docker", "p")));
    let broken = environment(&[("DOCKER_AUTH_CONFIG", r#"{"auths": hunter2"#)]);
    let error = format!("{:#}", find(&broken, None, "ghcr.io", "o/a").unwrap_err());
    assert!(error.contains("DOCKER_AUTH_CONFIG:1:") && !error.contains("hunter2"), "{error}");
    fs::remove_file(home.path().join(".docker/config.json")).unwrap();
    assert_eq!(user(&[("HOME", path)], None, "ghcr.io").credential, Some(basic("podman", "p")));
    // Neither the token that was given nor GitHub's variables go to another registry.
    assert_eq!(user(&all, Some(&given), "docker.io"), FoundCredential::nothing());
}

#[test]
fn a_given_token_needs_a_user_everywhere_but_at_github() {
    let token = |registry: &str, secret: &str| GivenCredential {
        registry: registry.into(),
        user: None,
        secret: Secret::new(secret),
    };
    let look = |given: &GivenCredential| find(&Environment::default(), Some(given), &given.registry, "a");
    assert_eq!(look(&token("ghcr.io", "t")).unwrap().credential, Some(basic("x-access-token", "t")));
    assert!(look(&token("docker.io", "t")).unwrap_err().to_string().contains("name of its user"));
    assert!(look(&token("ghcr.io", "\n")).unwrap_err().to_string().contains("is empty"));
}

#[test]
fn podmans_files_are_looked_through_in_order_and_a_named_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let write = |sub: &str, user: &str| {
        fs::create_dir_all(folder.path().join(sub).join("containers")).unwrap();
        let text = format!(r#"{{"auths":{{"r.io":{{"username":"{user}","password":"p"}}}}}}"#);
        fs::write(folder.path().join(sub).join("containers/auth.json"), text).unwrap();
        folder.path().join(sub).to_str().unwrap().to_owned()
    };
    let (runtime, config) = (write("runtime", "runtime"), write("config", "config"));
    let look = |variables: &[_]| find(&environment(variables), None, "r.io", "a").unwrap().credential;
    let both = [("XDG_RUNTIME_DIR", &*runtime), ("XDG_CONFIG_HOME", &*config)];
    assert_eq!(look(&both), Some(basic("runtime", "p")));
    assert_eq!(look(&both[1..]), Some(basic("config", "p")));
    let named = folder.path().join("config/containers/auth.json");
    let named = named.to_str().unwrap();
    assert_eq!(look(&[both[0], ("REGISTRY_AUTH_FILE", named)]), Some(basic("config", "p")));
    // Without XDG_RUNTIME_DIR, as in a container, podman writes to a folder of the user's number.
    let run = folder.path().join("runtime/containers");
    let in_container = |variables: &[_]| {
        find(&environment(variables).with_run_folder(&run), None, "r.io", "a").unwrap().credential
    };
    assert_eq!(in_container(&both[1..]), Some(basic("runtime", "p")));
    assert_eq!(in_container(&[("XDG_RUNTIME_DIR", &*config)]), Some(basic("config", "p")));
    let gone = environment(&[("REGISTRY_AUTH_FILE", "/no/such/file")]);
    let error = find(&gone, None, "r.io", "a").unwrap_err();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
}

#[test]
fn a_broken_file_is_an_error_with_its_path() {
    let home = home(Some("{"), None);
    let path = home.path().to_str().unwrap();
    let error = find(&environment(&[("HOME", path)]), None, "r.io", "a").unwrap_err();
    assert!(error.to_string().contains(".docker/config.json"), "{error}");
}

#[test]
fn nothing_that_prints_shows_a_value() {
    let environment = environment(&[("GHCR_TOKEN", "hunter2-secret")]);
    let found = find(&environment, None, "ghcr.io", "a").unwrap();
    let shown = format!("{environment:?} {found:?} {}", found.source);
    assert!(!shown.contains("hunter2") && shown.contains("GHCR_TOKEN"), "{shown}");
}
