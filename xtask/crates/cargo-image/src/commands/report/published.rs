//! The image in a registry: its checks as `verify` makes them, and the environments with their images.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::commands::environments::{self, Row};
use crate::commands::target::Target;
use crate::environments::Places;
use crate::publish::Trust;
use crate::verify::{Check, Demands, verify};
use cli_support::digest::Digest;
use cli_support::ui::Ui;
use oci_registry::Reference;

/// A published image.
#[derive(Debug, Serialize)]
pub struct Published {
    /// `REPOSITORY@DIGEST`.
    pub reference: String,
    /// The checks of `verify`.
    pub checks: Vec<Check>,
    /// The environments of the settings.
    pub environments: Vec<Row>,
}

/// The queries to a registry.
#[derive(Debug)]
pub struct Question {
    /// The repository.
    pub repository: Reference,
    /// The environments.
    pub places: Places,
    /// The required signature.
    pub trust: Option<Trust>,
}

impl Published {
    /// Asks the registry for the image of this digest; none where the repository does not have it.
    pub fn read(question: &Question, folder: &Path, digest: Digest) -> Result<Option<Self>> {
        let Question { repository, places, trust } = question;
        let others: Vec<_> = places.all().iter().map(|place| &place.at).collect();
        let client = Target::default().client_for(repository, &others, Ui::detect())?;
        let at = repository.with_digest(digest);
        if client.manifest_if_any(&at)?.is_none() {
            return Ok(None);
        }
        let demands = Demands { trust: trust.clone(), scanned: true, ..Demands::default() };
        let checks = verify(&client, &at, &digest, &demands, folder, false)?;
        let rows =
            places.all().iter().map(|place| environments::row(&client, place)).collect::<Result<_>>()?;
        Ok(Some(Self { reference: at.to_string(), checks, environments: rows }))
    }
}
