//! The checks, each with a result and a reason.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

use super::documents::{Found, sbom, scanned};
use super::integrity::whole;
use super::provenance::provenance;
use crate::publish::{
    Access, DocumentKind, PROVENANCE, SCAN, SIGNATURE, SignedBy, StatementKind, Trust, listed, need_cosign,
};
use cli_support::digest::Digest;
use cli_support::error::{Fault, plain_line, render};
use cli_support::time::now;
use oci_image::oci::{self, Annotations, Manifest};
use oci_registry::{Client, Reference, Referrer};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It passes.
    Ok,
    /// It does not pass.
    Failed,
    /// There is nothing to check, and it is not required.
    Absent,
    /// It does not pass, but is not required in this case.
    Waived,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// The result.
    pub state: State,
    /// The reason.
    pub detail: String,
}

/// The requirements beyond completeness.
#[derive(Clone, Debug, Default)]
pub struct Demands {
    /// The required signer.
    pub trust: Option<Trust>,
    /// Whether a signature is required.
    pub signed: bool,
    /// Whether a passing scan is required, even if the provenance has a reason for publishing without.
    pub scanned: bool,
    /// Whether a failed scan is accepted if the provenance has a reason for publishing.
    pub takes_failed: bool,
    /// The most days since the scan.
    pub scanned_within_days: Option<u64>,
    /// Whether an older scan is only a warning.
    pub takes_older: bool,
    /// The required builder, or a prefix of it.
    pub builder: Option<String>,
    /// Whether a bill of materials is required.
    pub sbom: bool,
}

/// Checks the image `at` with this digest. An error is about a request; faults of the image are in the checks.
pub fn verify(
    client: &Client,
    at: &Reference,
    digest: &Digest,
    demands: &Demands,
    folder: &Path,
    plain_http: bool,
) -> Result<Vec<Check>> {
    let trusted = match &demands.trust {
        None => None,
        Some(trust) => {
            need_cosign()?;
            Some((trust, Access::new(folder, at.registry(), client.credentials(at)?)?))
        }
    };
    let (whole, annotations) = match whole(client, at, digest) {
        Ok((detail, annotations)) => (check("complete", State::Ok, detail), annotations),
        Err(error) => (check("complete", State::Failed, one_line(&error)), Annotations::new()),
    };
    let referrers = client.referrers(at, digest, None)?;
    let image = at.with_digest(*digest).to_string();
    let signed_as = |kind: StatementKind| {
        let statements =
            |(trust, access): &(&Trust, Access)| trust.statements(kind, &image, plain_http, access);
        trusted.as_ref().map(statements).transpose()
    };
    let statements = signed_as(StatementKind::Provenance)?;
    let documents = signed_as(StatementKind::Documents)?.map(|statements| listed(&statements));
    let is_signed = |kind: &DocumentKind, bytes: &[u8]| match (kind.signed, &statements, &documents) {
        (SignedBy::Statement(_), Some(statements), _) => {
            let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
            statements.iter().any(|one| one["predicate"] == document["predicate"])
        }
        (SignedBy::Digest, _, Some(documents)) => {
            documents.contains(&(kind.media_type.to_owned(), Digest::of(bytes)))
        }
        (_, None, _) | (_, _, None) => true,
    };
    let read = |kind: &DocumentKind| {
        let one = |referrer: &Referrer| {
            let bytes = document(client, at, referrer).map_err(|error| one_line(&error))?;
            Ok(if is_signed(kind, &bytes) { Found::Document(bytes) } else { Found::Unsigned })
        };
        let of_kind = referrers.iter().filter(|one| one.artifact_type.as_deref() == Some(kind.media_type));
        of_kind.map(one).collect::<Vec<_>>()
    };
    let label = annotations.get("org.opencontainers.image.revision").map(String::as_str);
    let (built, unscanned) = provenance(read(&PROVENANCE), digest, label, demands);
    let scanned = scanned(read(&SCAN), digest, unscanned, demands, now());
    let sboms = DocumentKind::of_check("sbom").map(|kind| (kind, read(kind)));
    let sbom = sbom(sboms.collect(), demands.sbom);
    let answer = trusted.as_ref().map(|(trust, access)| trust.signed(&image, plain_http, access));
    let signed = signed(&referrers, demands, answer.transpose()?);
    Ok(vec![whole, built, scanned, sbom, signed])
}

pub(super) fn check(name: &'static str, state: State, detail: impl Into<String>) -> Check {
    // Parts may come from attached documents.
    Check { name, state, detail: plain_line(&detail.into()) }
}

/// An error as a table shows it.
pub(super) fn one_line(error: &anyhow::Error) -> String {
    render(error).lines().map(str::trim).collect::<Vec<_>>().join("; ").replace("error: ", "")
}

/// The document of a referrer: the only layer of its manifest, checked by digest.
fn document(client: &Client, at: &Reference, referrer: &Referrer) -> Result<Vec<u8>> {
    let manifest = client.manifest(&at.with_digest(referrer.digest))?;
    let manifest: Manifest = oci::from_bytes(&referrer.digest.to_string(), &manifest.bytes)?;
    let mut bytes = Vec::new();
    if let Some(layer) = manifest.layers.first() {
        if layer.size > oci::MAX_DOCUMENT * 8 {
            anyhow::bail!(Fault::failed("the document is over the size limit").at(layer.digest));
        }
        client.blob(at, &layer.digest, layer.size, &mut bytes, &|_| ())?;
    }
    Ok(bytes)
}

/// `answer` is cosign's, if a signer is required.
fn signed(referrers: &[Referrer], demands: &Demands, answer: Option<Result<(), String>>) -> Check {
    const NAME: &str = "signature";
    let is_signature = |one: &&Referrer| {
        let kind = one.artifact_type.as_deref().unwrap_or_default();
        kind.starts_with(SIGNATURE)
    };
    match answer {
        Some(Ok(())) => check(NAME, State::Ok, "cosign verifies it"),
        Some(Err(why)) => check(NAME, State::Failed, why),
        None => match (referrers.iter().filter(is_signature).count(), demands.signed) {
            (0, false) => check(NAME, State::Absent, "there is none"),
            (0, true) => check(NAME, State::Failed, "there is none"),
            (_, true) => check(NAME, State::Failed, "the signer is not given: --key or --identity"),
            (_, false) => check(NAME, State::Absent, "not verified: give --key or --identity"),
        },
    }
}
