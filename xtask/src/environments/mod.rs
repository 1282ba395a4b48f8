//! Environments: which image runs where, how one gets there with the bytes that it has, and what may go.

mod copy;
mod promote;
mod prune;
mod record;

pub use promote::{Setup, Step, Work};
pub use prune::{Keep, sweep};
pub use record::records;

use crate::error::Fault;
use crate::registry::Reference;
use crate::settings::{Environment, Workspace};

/// The environment of this name.
pub fn find<'a>(workspace: &'a Workspace, name: &str) -> Result<&'a Environment, Fault> {
    let all = &workspace.settings.environments;
    all.iter().find(|environment| environment.name == name).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|environment| environment.name.as_str()).collect();
        let cure = if names.is_empty() {
            format!("[[environments]]\nname = \"{name}\"")
        } else {
            format!("environments: {}", names.join(", "))
        };
        Fault::usage(format!("there is no environment '{name}'")).at(crate::settings::FILE).cure(cure)
    })
}

/// Where an environment's image is, by its tag; `image` is the repository of the settings.
pub fn place(environment: &Environment, image: &Reference) -> Result<Reference, Fault> {
    let own = environment.repository.as_ref().map(|name| name.to_lowercase().parse()).transpose()?;
    own.as_ref().unwrap_or(image).with_tag(&environment.tag)
}
