//! SLSA provenance, v1 (<https://slsa.dev/spec/v1.0/provenance>): builder, source and parameters of an image.
//!
//! It contains no time: publishing an image again gives the same bytes.

use anyhow::Result;
use serde_json::{Value, json};

use super::image_bundle::ImageBundle;
use super::origin::Origin;
use cli_support::digest::Digest;
use oci_image::oci;
use rust_workspace::tags::Run;

/// The type of the statement's predicate.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";

const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The meaning of the parameters below.
const BUILD_TYPE: &str = "urn:cargo-xtask:image:v1";
/// The builder outside CI.
const LOCAL_BUILDER: &str = "urn:cargo-xtask:local";
/// The builder of an image with another commit than the working tree.
const UNKNOWN_BUILDER: &str = "urn:cargo-xtask:unknown";

/// The inputs of a build.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// The cargo package.
    pub package: String,
    /// Its binary.
    pub binary: String,
    /// The repository with the source.
    pub source: Option<String>,
    /// The image's source.
    pub origin: Origin,
    /// Why the image was published without a passing scan.
    pub unscanned: Option<String>,
    /// The names and digests of files that determine the build; none if the image was built from other files.
    pub files: Vec<(String, Digest)>,
    /// The CI run.
    pub run: Option<Run>,
    /// The platforms, `linux/amd64`.
    pub platforms: Vec<String>,
}

/// The statement about an image in `repository`, as bytes.
pub fn statement(repository: &str, bundle: &ImageBundle, parameters: &Parameters) -> Result<Vec<u8>> {
    let subjects = std::iter::once(&bundle.top).chain(&bundle.manifests);
    let subject = |digest: &Digest| json!({ "name": repository, "digest": { "sha256": digest.hex() } });
    let origin = &parameters.origin;
    // A run that publishes an image of another commit did not build it.
    let run = parameters.run.as_ref().filter(|_| origin.is_here);
    let labelled = bundle.label("source").filter(|_| !origin.is_here).map(str::to_owned);
    let source = run.map(|run| run.repository.clone()).or(labelled).or_else(|| parameters.source.clone());
    let mut external = json!({
        "package": parameters.package,
        "binary": parameters.binary,
        "platforms": parameters.platforms,
        "source": source,
    });
    if let Some(reason) = &parameters.unscanned {
        external["allowUnscanned"] = json!(reason);
    }
    let mut materials = Vec::new();
    if let Some(revision) = &origin.revision {
        materials.push(json!({
            "uri": source.map_or_else(|| "git+file:.".to_owned(), |source| format!("git+{source}")),
            "digest": { "gitCommit": revision },
            "annotations": { "dirty": origin.dirty },
        }));
    }
    let base = bundle
        .label("base.name")
        .zip(bundle.label("base.digest").and_then(|text| text.strip_prefix("sha256:")));
    materials.extend(
        base.map(|(name, hex)| json!({ "uri": format!("oci://{name}"), "digest": { "sha256": hex } })),
    );
    let file = |(name, digest): &(String, Digest)| json!({ "uri": format!("file:{name}"), "digest": { "sha256": digest.hex() } });
    materials.extend(parameters.files.iter().map(file));
    let builder = match run {
        Some(run) => format!("https://github.com/{}", run.workflow),
        None if origin.is_here => LOCAL_BUILDER.to_owned(),
        None => UNKNOWN_BUILDER.to_owned(),
    };
    let mut details =
        json!({ "builder": { "id": builder, "version": { "xtask": env!("CARGO_PKG_VERSION") } } });
    if let Some(run) = run {
        details["metadata"] = json!({ "invocationId": run.url });
    }
    let runner = run.map(|run| run.runner.clone());
    let predicate = json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": external,
            "internalParameters": { "runner": runner },
            "resolvedDependencies": materials,
        },
        "runDetails": details,
    });
    let statement: Value = json!({
        "_type": STATEMENT_TYPE,
        "subject": subjects.map(|entry| subject(&entry.digest)).collect::<Vec<_>>(),
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    });
    oci::to_bytes(&statement)
}
