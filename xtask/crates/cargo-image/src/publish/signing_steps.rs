//! The steps that cosign has a part in.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::access::Access;
use super::cosign::Signer;
use super::documents;
use super::trust::StatementKind;
use super::work::PublishWork;
use cli_support::process::Cmd;
use cli_support::ui::Progress;

impl PublishWork {
    pub(super) fn sign(&self, signer: &Signer, command: &Cmd, progress: &Progress) -> Result<String> {
        let setup = &self.setup;
        let image = setup.to.with_digest(self.parcel.digest()).to_string();
        let access = self.access()?;
        let _turn = turn(&setup.folder)?;
        signer.prepare(&setup.folder)?;
        if let Some(trust) = signer.trust(&setup.folder)?
            && matches!(trust.signed(&image, setup.plain_http, &access), Ok(Ok(())))
        {
            return Ok("this key has signed it already".to_owned());
        }
        access.lend(command.clone()).follow(|line| progress.output(line))?;
        Ok(match signer {
            Signer::Keyless(_) => "by this job's identity".to_owned(),
            Signer::Key(key) => format!("with {key}"),
        })
    }

    pub(super) fn attest(
        &self,
        signer: &Signer,
        said: StatementKind,
        command: &Cmd,
        progress: &Progress,
    ) -> Result<String> {
        let setup = &self.setup;
        let Some((provenance, others)) = self.artifacts.split_first() else {
            return Ok("nothing: no documents are attached".to_owned());
        };
        let image = setup.to.with_digest(self.parcel.digest()).to_string();
        let access = self.access()?;
        let _turn = turn(&setup.folder)?;
        let predicate = match said {
            StatementKind::Provenance => {
                serde_json::from_slice::<serde_json::Value>(&provenance.bytes)?["predicate"].take()
            }
            StatementKind::Documents => documents::predicate(others),
        };
        if let Some(trust) = signer.trust(&setup.folder)? {
            // Where cosign could not tell, it is signed once more.
            let known = trust.statements(said, &image, setup.plain_http, &access).unwrap_or_default();
            if known.iter().any(|one| one["predicate"] == predicate) {
                return Ok("this key has signed it already".to_owned());
            }
        }
        let path = said.path(&setup.folder);
        std::fs::write(&path, predicate.to_string()).with_context(|| path.display().to_string())?;
        access.lend(command.clone()).follow(|line| progress.output(line))?;
        Ok(match said {
            StatementKind::Provenance => "signed provenance".to_owned(),
            StatementKind::Documents => format!("{} documents, by their digests", others.len()),
        })
    }

    fn access(&self) -> Result<Access> {
        let setup = &self.setup;
        let found = self.client.credentials(&setup.to)?;
        Access::new(&setup.folder, setup.to.registry(), found)
    }
}

/// This run's turn at the files that cosign reads: two runs of one workspace, of two images, would sign each
/// other's.
fn turn(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(".signing.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.lock().with_context(|| path.display().to_string())?;
    Ok(file)
}
