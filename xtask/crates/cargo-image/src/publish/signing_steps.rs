//! The steps that run cosign.

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
        let image = setup.to.with_digest(self.bundle.digest()).to_string();
        let access = self.access()?;
        let _lock = lock(&setup.folder)?;
        signer.prepare(&setup.folder)?;
        if let Some(trust) = signer.trust(&setup.folder)?
            && matches!(trust.signed(&image, setup.plain_http, &access), Ok(Ok(())))
        {
            return Ok("already signed with this key".to_owned());
        }
        access.lend(command.clone()).follow(|line| progress.output(line))?;
        Ok(match signer {
            Signer::Keyless(_) => "with the job's identity".to_owned(),
            Signer::Key(key) => format!("with {key}"),
        })
    }

    pub(super) fn attest(
        &self,
        signer: &Signer,
        kind: StatementKind,
        command: &Cmd,
        progress: &Progress,
    ) -> Result<String> {
        let setup = &self.setup;
        let Some((provenance, others)) = self.artifacts.split_first() else {
            return Ok("nothing to sign: no documents are attached".to_owned());
        };
        let image = setup.to.with_digest(self.bundle.digest()).to_string();
        let access = self.access()?;
        let _lock = lock(&setup.folder)?;
        let predicate = match kind {
            StatementKind::Provenance => {
                serde_json::from_slice::<serde_json::Value>(&provenance.bytes)?["predicate"].take()
            }
            StatementKind::Documents => documents::predicate(others),
        };
        if let Some(trust) = signer.trust(&setup.folder)? {
            // If cosign cannot tell, sign again.
            let known = trust.statements(kind, &image, setup.plain_http, &access).unwrap_or_default();
            if known.iter().any(|one| one["predicate"] == predicate) {
                return Ok("already signed with this key".to_owned());
            }
        }
        let path = kind.path(&setup.folder);
        std::fs::write(&path, predicate.to_string()).with_context(|| path.display().to_string())?;
        access.lend(command.clone()).follow(|line| progress.output(line))?;
        Ok(match kind {
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

/// Locks the files that cosign reads: two runs in one workspace would sign each other's files.
fn lock(folder: &Path) -> Result<File> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let path = folder.join(".signing.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    file.lock().with_context(|| path.display().to_string())?;
    Ok(file)
}
