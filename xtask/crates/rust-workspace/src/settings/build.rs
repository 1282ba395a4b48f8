//! `[build]`: what cargo builds.

use super::reader::{FromToml, Mistake, Table, Value};

/// `[build]`: features, profile and C code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSettings {
    /// Features of the package, as `cargo build --features` takes them.
    pub features: Vec<String>,
    /// Whether the package's default features are enabled.
    pub default_features: bool,
    /// Whether all features are enabled.
    pub all_features: bool,
    /// The profile of Cargo.toml; `release` by default.
    pub profile: String,
    /// The C compiler for the image.
    pub c: CompileC,
    /// Crates that are not checked for C code.
    pub allow_c: Vec<String>,
}

/// The C compiler for linked crates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CompileC {
    /// Nothing: such crates are an error.
    #[default]
    Refuse,
    /// `zig cc`, for all targets on any machine.
    Zig,
    /// The compilers of the Dockerfile's build stage.
    Docker,
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            features: Vec::new(),
            default_features: true,
            all_features: false,
            profile: "release".to_owned(),
            c: CompileC::default(),
            allow_c: Vec::new(),
        }
    }
}

impl std::str::FromStr for CompileC {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "refuse" => Ok(Self::Refuse),
            "zig" => Ok(Self::Zig),
            "docker" => Ok(Self::Docker),
            _ => Err(format!("'{text}' is not refuse, zig or docker")),
        }
    }
}

impl FromToml for BuildSettings {
    fn from_toml(value: Value<'_>) -> Result<Self, Vec<Mistake>> {
        let mut table = Table::new(value)?;
        let default = Self::default();
        let settings = Self {
            features: table.optional("features").unwrap_or_default(),
            default_features: table.optional("default-features").unwrap_or(default.default_features),
            all_features: table.optional("all-features").unwrap_or_default(),
            profile: table.optional("profile").unwrap_or(default.profile),
            c: table.parsed("c").unwrap_or_default(),
            allow_c: table.optional("allow-c").unwrap_or_default(),
        };
        table.finish()?;
        Ok(settings)
    }
}
