//! The flags of `cargo build`, shared by `image` and `binary`.

use clap::Args;

use rust_workspace::settings::BuildSettings;

/// Overrides of `[build]` for one run.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Cargo")]
pub struct BuildFlags {
    /// Features to enable, with commas; added to those of `[build]`
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    features: Vec<String>,
    /// Disable the default features
    #[arg(long)]
    no_default_features: bool,
    /// Enable all features
    #[arg(long)]
    all_features: bool,
    /// The profile of Cargo.toml [default: release]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl BuildFlags {
    /// Sets what the flags say.
    pub fn apply(&self, settings: &mut BuildSettings) {
        settings.features.extend(self.features.iter().cloned());
        settings.default_features &= !self.no_default_features;
        settings.all_features |= self.all_features;
        if let Some(profile) = &self.profile {
            settings.profile.clone_from(profile);
        }
    }

    /// The first flag that was given.
    pub fn first(&self) -> Option<&'static str> {
        let given = [
            ("--features", !self.features.is_empty()),
            ("--no-default-features", self.no_default_features),
            ("--all-features", self.all_features),
            ("--profile", self.profile.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
    }
}
