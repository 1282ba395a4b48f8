//! Environments: promotion and its record, copying, and pruning.

mod copy;
mod promote;
pub mod prune;
mod record;

pub use promote::{Overlay, PromoteSetup, PromoteStep, PromoteWork, Promoted};
pub use record::History;

use serde::Deserialize;

use cli_support::digest::Digest;
use cli_support::error::Fault;
use oci_registry::Reference;
use rust_workspace::settings::{Environment, Workspace};

/// An environment and its tag.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its settings.
    pub environment: Environment,
    /// Its tag in its repository.
    pub at: Reference,
}

/// The environments of a workspace, with their tags.
#[derive(Debug)]
pub struct Places {
    repository: Reference,
    all: Vec<Place>,
}

impl Places {
    /// All environments of the settings; those without a repository of their own are in `repository`.
    pub fn of(workspace: &Workspace, repository: &Reference) -> Result<Self, Fault> {
        let place = |environment: &Environment| {
            let own = environment.repository.as_deref().map(str::parse::<Reference>).transpose()?;
            let at = own.as_ref().unwrap_or(repository).with_tag(&environment.tag)?;
            Ok(Place { environment: environment.clone(), at })
        };
        let all = workspace.settings.environments.iter().map(place).collect::<Result<_, Fault>>()?;
        Ok(Self { repository: repository.clone(), all })
    }

    /// In the order of the settings.
    pub fn all(&self) -> &[Place] {
        &self.all
    }

    /// The environment of this name.
    pub fn find(&self, name: &str) -> Result<&Place, Fault> {
        self.all.iter().find(|place| place.environment.name == name).ok_or_else(|| {
            let names: Vec<_> = self.all.iter().map(|place| place.environment.name.as_str()).collect();
            let hint = if names.is_empty() {
                format!("[[environments]]\nname = \"{name}\"")
            } else {
                format!("environments: {}", names.join(", "))
            };
            Fault::usage(format!("unknown environment '{name}'"))
                .at(rust_workspace::settings::file())
                .hint(hint)
        })
    }

    /// Refuses an image of an unknown repository: its owner could attach any statement to it.
    pub fn must_know(&self, image: &Reference) -> Result<(), Fault> {
        let known = self.all.iter().map(|place| &place.at).chain([&self.repository]);
        let mut names: Vec<_> = known.map(Reference::name).collect();
        names.sort();
        names.dedup();
        if names.contains(&image.name()) {
            return Ok(());
        }
        Err(Fault::usage("unknown repository: it is neither the workspace's nor an environment's")
            .at(image)
            .hint(format!("publish it first to one of {}", names.join(", "))))
    }
}

/// The manifest that a manifest refers to (image-spec manifest.md, `subject`).
fn subject_of(manifest: &[u8]) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Referrer {
        subject: Option<Subject>,
    }
    #[derive(Deserialize)]
    struct Subject {
        digest: Digest,
    }
    Some(serde_json::from_slice::<Referrer>(manifest).ok()?.subject?.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_may_refer_to_another() {
        let digest = Digest::of(b"subject");
        for (manifest, expected) in [
            (format!(r#"{{"subject":{{"digest":"{digest}","size":1}}}}"#), Some(digest)),
            (r#"{"subject":{"digest":"md5:x"}}"#.to_owned(), None),
            (r#"{"subject":null}"#.to_owned(), None),
            ("[".to_owned(), None),
        ] {
            assert_eq!(subject_of(manifest.as_bytes()), expected, "{manifest}");
        }
    }
}
